"""Answers requests about rows, from what was asked as JSON to what is answered; remembers what was chosen last."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from explicate_console.rows.row_columns import Columns
from explicate_console.rows.row_detail import detail
from explicate_console.rows.row_errors import RowsRefused, Stop, invalid
from explicate_console.rows.row_folders import RowFiles, Shelf, Snapshot
from explicate_console.rows.row_pages import MOST_ROWS, kept_columns, page
from explicate_console.rows.row_query import Query, Selection, choose, order
from explicate_console.rows.row_slices import slices
from explicate_console.rows.row_summary import summary, swarm

_Found = TypeVar("_Found")
_MOST_FEATURES = 20


class _Memory:
    """The last few of what was found, by what it depends on."""

    def __init__(self, most: int) -> None:
        self._most, self._held, self._lock = most, OrderedDict[str, Any](), threading.Lock()

    def found(self, key: Sequence[object], find: Callable[[], _Found]) -> _Found:
        """What was found for this key before, or is found now."""
        text = json.dumps(key)
        with self._lock:
            if text in self._held:
                self._held.move_to_end(text)
                before: _Found = self._held[text]
                return before
        new = find()
        with self._lock:
            self._held[text] = new
            while len(self._held) > self._most:
                self._held.popitem(last=False)
        return new


class RowRequests:
    """The folders of a console, and what is asked about them. Raises RowsRefused."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._shelf = Shelf(folders)
        # A selection has 4 bytes for each chosen row, an order 8: with a million rows some 100 MB if all are full.
        self._selections, self._orders, self._answers = _Memory(8), _Memory(4), _Memory(32)

    def answer(self, what: str, asked: Mapping[str, Any], stop: Stop) -> dict[str, Any]:
        """The answer to a request: "folders", "page", "summary", "swarm", "slices" or "row"."""
        if what == "folders":
            return {"folders": [self._folder(name) for name in self._shelf.names]}
        find = {
            "page": self._page,
            "summary": self._summary,
            "swarm": self._swarm,
            "slices": self._slices,
            "row": self._row,
        }.get(what)
        if find is None:
            raise RowsRefused("not_found", "there is no such request about rows")
        snapshot = self._shelf.snapshot(_text(asked, "folder"))
        return {**find(snapshot, asked, stop), "snapshot": snapshot.fingerprint}

    def _folder(self, name: str) -> dict[str, Any]:
        try:
            return _described(self._shelf.snapshot(name))
        except RowsRefused as error:
            return {"name": name, "trouble": str(error)}

    def _chosen(self, snapshot: Snapshot, asked: Mapping[str, Any], stop: Stop) -> tuple[Query, Selection]:
        failed = asked.get("failed", False)
        if not isinstance(failed, bool):
            raise invalid("failed", "this is true or false")
        query = Query(_text(asked, "filter"), _text(asked, "search"), failed)
        key = [snapshot.name, snapshot.fingerprint, query.filter, query.search, query.failed]
        return query, self._selections.found(key, lambda: choose(snapshot, query, stop))

    def _page(self, snapshot: Snapshot, asked: Mapping[str, Any], stop: Stop) -> dict[str, Any]:
        query, selection = self._chosen(snapshot, asked, stop)
        start, count = _number(asked, "start", 0, 2**53), min(_number(asked, "count", 50, 2**31), MOST_ROWS)
        ordinals: Sequence[int] = range(min(start, selection.total), min(start + count, selection.total))
        if by := _text(asked, "sort"):
            descending = asked.get("descending") is True
            key = [snapshot.name, snapshot.fingerprint, query.filter, query.search, query.failed, by, descending]
            ordered = self._orders.found(
                key, lambda: order(snapshot, query, selection, by, descending=descending, stop=stop)
            )
            ordinals = ordered.slice(start, count).to_pylist()
        rows = page(snapshot, query, selection, ordinals, stop)
        return {"total": selection.total, "of": query.files(snapshot).rows, "start": start, "rows": rows}

    def _summary(self, snapshot: Snapshot, asked: Mapping[str, Any], stop: Stop) -> dict[str, Any]:
        query, selection = self._answered(snapshot, asked, stop)
        key = ["summary", snapshot.name, snapshot.fingerprint, query.filter, query.search]
        return self._answers.found(key, lambda: summary(snapshot, selection, stop))

    def _swarm(self, snapshot: Snapshot, asked: Mapping[str, Any], stop: Stop) -> dict[str, Any]:
        query, selection = self._answered(snapshot, asked, stop)
        label, features = _text(asked, "label"), asked.get("features", [])
        if not isinstance(features, list) or not all(isinstance(each, str) for each in features):
            raise invalid("features", "this is a list of names")
        features = features[:_MOST_FEATURES]
        key = ["swarm", snapshot.name, snapshot.fingerprint, query.filter, query.search, label, features]
        return self._answers.found(key, lambda: swarm(snapshot, selection, label, features, stop))

    def _slices(self, snapshot: Snapshot, asked: Mapping[str, Any], stop: Stop) -> dict[str, Any]:
        query, selection = self._answered(snapshot, asked, stop)
        column, label, added = (_text(asked, name) for name in ("column", "label", "added"))
        key = ["slices", snapshot.name, snapshot.fingerprint, query.filter, query.search, column, label, added]
        return self._answers.found(key, lambda: slices(snapshot, selection, column, label, added, stop))

    def _answered(self, snapshot: Snapshot, asked: Mapping[str, Any], stop: Stop) -> tuple[Query, Selection]:
        return self._chosen(snapshot, {**asked, "failed": False}, stop)

    @staticmethod
    def _row(snapshot: Snapshot, asked: Mapping[str, Any], stop: Stop) -> dict[str, Any]:
        stop.check()
        return detail(snapshot, _text(asked, "row"))


def _described(snapshot: Snapshot) -> dict[str, Any]:
    model, plan = snapshot.manifest.model, snapshot.manifest.plan
    answered = Columns(snapshot, snapshot.answered)
    return {
        "name": snapshot.name,
        "model": {"model": model.name, "version": model.version, "digest": model.bundle_digest, "kind": model.kind},
        "classLabels": list(model.class_labels),
        "rows": snapshot.answered.rows,
        "failed": snapshot.failures.rows,
        "ofRows": plan.rows,
        "parts": plan.parts - snapshot.missing_parts,
        "missingParts": snapshot.missing_parts,
        "state": "finished" if snapshot.finished else "not finished",
        "unreadable": [{"file": name, "why": why} for name, why in snapshot.unreadable],
        "columns": _columns(snapshot.answered, answered),
        "failedColumns": _columns(snapshot.failures, Columns(snapshot, snapshot.failures)),
        "kept": kept_columns(snapshot) if snapshot.answered.units else [],
        "features": list(snapshot.features),
        "explained": bool(answered.features) or "explanation" in snapshot.answered.schema.names,
        "explain": dict(snapshot.manifest.options.get("explain") or {}),
        "snapshot": snapshot.fingerprint,
    }


def _columns(files: RowFiles, columns: Columns) -> list[dict[str, str]]:
    return [{"name": f.name, "type": str(f.type)[:80]} for f in columns.schema] if files.units else []


def _text(asked: Mapping[str, Any], name: str) -> str:
    value = asked.get(name, "")
    if not isinstance(value, str):
        raise invalid(name, "this is a text")
    return value


def _number(asked: Mapping[str, Any], name: str, otherwise: int, most: int) -> int:
    value = asked.get(name, otherwise)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise invalid(name, f"this is a whole number from 0 to {most}")
    return value
