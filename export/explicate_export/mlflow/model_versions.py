"""A bundle as a version of a registered model of MLflow, and back into a repository.

The artifact is the bundle's folder, file by file: nothing is pickled, and MLflow never loads it. What comes back is
what its manifest lists, each file of the size and the SHA-256 that it says; the manifest, and so the digest and a
signature, stay as they were.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from explicate.v1 import bundle_pb2
from explicate_bundle.bundle import VerifiedBundle, read_manifest, verify_bundle
from explicate_bundle.errors import BundleError
from explicate_bundle.manifest import MODEL_NAME
from explicate_bundle.writing import MANIFEST_NAME, MODEL_CARD_NAME, SIGNATURE_NAME
from explicate_export.errors import PublicationError, UsageError
from explicate_export.publish import check_target, stage_bundle

_EXPERIMENT = "explicate"
_PATH = "bundle"  # of the artifact, below its run
DIGEST, MODEL, VERSION = "explicate.bundle_digest", "explicate.model", "explicate.version"
_SMALL = 4 << 20  # bytes of a manifest or a signature
_MOST_CARD = 10_000  # characters; MLflow keeps descriptions in its database
_REFERENCE = re.compile(r"(?:models:/+)?(?P<name>[^/@:'\"]+)(?:@(?P<alias>[^/@:]+)|/(?P<version>[0-9]{1,9}))?")


@dataclass(frozen=True)
class Pushed:
    """Where a bundle is in the registry; `is_new` is False where it was there before."""

    name: str
    version: str
    is_new: bool


@dataclass(frozen=True)
class Pulled:
    """Where a bundle is in a repository; alias: by which it was asked for, `is_new` False where it was there before."""

    folder: Path
    model: str
    version: int
    digest: str
    alias: str | None
    is_new: bool


@dataclass(frozen=True)
class Reference:
    """A version of a registered model as people write it."""

    name: str
    alias: str | None = None
    version: str | None = None

    @classmethod
    def parsed(cls, text: str) -> Reference:
        """models:/NAME/3, models:/NAME@ALIAS or models:/NAME, the newest; the beginning may be left out."""
        found = _REFERENCE.fullmatch(text)
        if found is None:
            raise UsageError(f"{text!r} does not name a model of MLflow: models:/NAME@ALIAS, models:/NAME/3 or NAME")
        return cls(**found.groupdict())


def push(folder: Path, *, name: str | None = None, alias: str | None = None, tracking_uri: str | None = None) -> Pushed:
    """Put a bundle into the registry as the next version of `name`, or find it there by its digest.

    name: of the registered model; the bundle's own by default. alias: which is then pointed at the version.
    Raises BundleError for a folder that is not a whole bundle, UsageError for what MLflow does not take or give.
    """
    bundle = _bundle_in(folder)
    if (name := name or bundle.manifest.model) != Reference.parsed(name).name:
        raise UsageError(f"{name!r} cannot name a model of MLflow: no '/', '@', ':' or quotes")
    with _registry(tracking_uri) as client:
        version = _version_with(client, name, bundle.digest)
        is_new = version is None
        if version is None:
            version = _create_version(client, name, bundle)
        if alias is not None:
            client.set_registered_model_alias(name, alias, version)
    return Pushed(name, str(version), is_new)


def _bundle_in(folder: Path) -> VerifiedBundle:
    """A folder of a repository, REPOSITORY/MODEL/VERSION, verified."""
    folder = folder.resolve()
    if not folder.name.isdecimal() or not MODEL_NAME.fullmatch(folder.parent.name):
        raise UsageError(f"{folder} is not a bundle of a repository: give REPOSITORY/MODEL/VERSION")
    return verify_bundle(folder, model=folder.parent.name, version=int(folder.name))


def _version_with(client: Any, name: str, digest: str) -> str | None:  # Any, here and below: mlflow has no types
    versions = client.search_model_versions(f"name='{name}'")
    return next((each.version for each in versions if each.tags.get(DIGEST) == digest), None)


def _create_version(client: Any, name: str, bundle: VerifiedBundle) -> str:
    manifest = bundle.manifest
    run = client.create_run(_experiment(client), run_name=f"{manifest.model} {manifest.version}")
    try:
        client.log_artifacts(run.info.run_id, str(bundle.folder), _PATH)
        for metric, value in manifest.metrics.items():
            client.log_metric(run.info.run_id, metric, value)
        if not client.search_registered_models(f"name='{name}'"):
            client.create_registered_model(name)
        tags = {DIGEST: bundle.digest, MODEL: manifest.model, VERSION: str(manifest.version)}
        made = client.create_model_version(
            name,
            source=f"{run.info.artifact_uri}/{_PATH}",
            run_id=run.info.run_id,
            tags=tags,
            description=bundle.read_text(MODEL_CARD_NAME)[:_MOST_CARD],
        )
    except BaseException:
        client.set_terminated(run.info.run_id, "FAILED")
        raise
    client.set_terminated(run.info.run_id)
    return str(made.version)


def _experiment(client: Any) -> str:
    found = client.get_experiment_by_name(_EXPERIMENT)
    return str(found.experiment_id if found is not None else client.create_experiment(_EXPERIMENT))


def pull(
    reference: str, repository: Path, *, verify_key: Path | None = None, tracking_uri: str | None = None
) -> Pulled:
    """Bring a version of a registered model into a repository, as the model and version that its manifest says.

    Nothing is seen there before sizes, digests, contents and, with `verify_key`, the signature are checked. One that is
    there already with the same digest is left as it is. Raises UsageError, BundleError or PublicationError.
    """
    wanted = Reference.parsed(reference)
    with _registry(tracking_uri) as client:
        found = _found(client, wanted)
        artifacts = _Artifacts(client.get_model_version_download_uri(wanted.name, found.version), tracking_uri)
        manifest = artifacts.manifest()
        check_target(repository, manifest.model)  # before its name is part of a path
        target = repository / manifest.model / str(manifest.version)
        if target.exists():
            return _already(target, manifest, found, wanted, verify_key)
        with stage_bundle(repository, manifest.model, version=manifest.version) as staged:
            artifacts.fetch(manifest, staged.folder)
            bundle = _checked(staged.folder, manifest, found, verify_key)
            folder = staged.publish_as_it_is(manifest.version)
    return Pulled(folder, manifest.model, manifest.version, bundle.digest, wanted.alias, is_new=True)


def _found(client: Any, wanted: Reference) -> Any:
    if wanted.alias is not None:
        return client.get_model_version_by_alias(wanted.name, wanted.alias)
    if wanted.version is not None:
        return client.get_model_version(wanted.name, wanted.version)
    versions = client.search_model_versions(f"name='{wanted.name}'")
    if not versions:
        raise UsageError(f"MLflow does not have a version of a model {wanted.name!r}")
    return max(versions, key=lambda each: int(each.version))


def _already(
    target: Path, manifest: bundle_pb2.Bundle, found: Any, wanted: Reference, verify_key: Path | None
) -> Pulled:
    there = _checked(target, manifest, None, verify_key)
    if there.digest != found.tags.get(DIGEST):
        raise PublicationError(f"{target} is another bundle than {wanted.name} {found.version} of MLflow; move it away")
    return Pulled(target, manifest.model, manifest.version, there.digest, wanted.alias, is_new=False)


def _checked(folder: Path, manifest: bundle_pb2.Bundle, found: Any, verify_key: Path | None) -> VerifiedBundle:
    bundle = verify_bundle(folder, model=manifest.model, version=manifest.version, verify_key=verify_key)
    pushed = bundle.digest if found is None else found.tags.get(DIGEST, bundle.digest)
    if pushed != bundle.digest:
        raise BundleError(f"its digest is {bundle.digest[:12]}…, and {pushed[:12]}… was pushed: it was changed since")
    bundle.check_contents()
    return bundle


class _Artifacts:
    """The files of a model version, told and fetched one by one: what the manifest does not list is left there."""

    def __init__(self, uri: str, tracking_uri: str | None) -> None:
        import mlflow.artifacts

        self._uri, self._tracking_uri, self._mlflow = uri, tracking_uri, mlflow.artifacts
        listed = mlflow.artifacts.list_artifacts(artifact_uri=uri, tracking_uri=tracking_uri)
        self._sizes = {PurePosixPath(each.path).name: each.file_size for each in listed if not each.is_dir}

    def manifest(self) -> bundle_pb2.Bundle:
        """What the manifest says, whose form is checked; the files are not here yet."""
        if MANIFEST_NAME not in self._sizes:
            raise BundleError(f"the artifact at {self._uri} is not a bundle: it does not have a {MANIFEST_NAME}")
        with tempfile.TemporaryDirectory() as folder:
            self._fetch(MANIFEST_NAME, Path(folder), most=_SMALL)
            return read_manifest(Path(folder))

    def fetch(self, manifest: bundle_pb2.Bundle, folder: Path) -> None:
        """The files of the manifest and the signature, if there is one, into an empty folder."""
        self._fetch(MANIFEST_NAME, folder, most=_SMALL)
        if SIGNATURE_NAME in self._sizes:
            self._fetch(SIGNATURE_NAME, folder, most=_SMALL)
        for file in manifest.files:
            if self._sizes.get(file.name, file.size_bytes) != file.size_bytes:
                told = f"{self._sizes[file.name]:,} bytes in MLflow, and {file.size_bytes:,} in the manifest"
                raise BundleError(f"{file.name} has {told}")
            self._fetch(file.name, folder, most=file.size_bytes)

    def _fetch(self, name: str, folder: Path, *, most: int) -> None:
        if (self._sizes.get(name) or 0) > most:
            raise BundleError(f"{name} has {self._sizes[name]:,} bytes in MLflow, over the limit of {most:,}")
        uri = f"{self._uri.rstrip('/')}/{name}"
        fetched = Path(
            self._mlflow.download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=self._tracking_uri)
        )
        if fetched.is_symlink() or fetched.resolve() != (folder / name).resolve() or not fetched.is_file():
            raise BundleError(f"MLflow gave something else than the file {name}")


@contextmanager
def _registry(tracking_uri: str | None) -> Iterator[Any]:
    """MLflow's client; its errors, whatever they are, become a UsageError of one sentence."""
    try:
        import mlflow
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise UsageError("this needs a package that is not installed: pip install 'explicate[mlflow]'") from error
    try:
        yield mlflow.MlflowClient(tracking_uri=tracking_uri)
    except MlflowException as error:
        raise UsageError(f"MLflow: {' '.join(str(error).split())[:500]}") from error
    except ImportError as error:
        raise UsageError(
            f"MLflow lacks something: {error}; a database without a server needs pip install sqlalchemy alembic"
        ) from error
    except OSError as error:
        raise UsageError(f"cannot reach what MLflow keeps its models in: {error}") from error
