/** How the channel is set up, as in the Python client: sizes, keepalive, several addresses, encryption, the token. */

import { credentials } from "@grpc/grpc-js";
import type { ChannelCredentials, ChannelOptions } from "@grpc/grpc-js";

import { UsageError } from "./errors.js";

export const DEFAULT_TARGET = "127.0.0.1:8500";
export const DEFAULT_TIMEOUT_MS = 30_000;

/** For an encrypted connection; each the content of a PEM file. */
export interface TlsOptions {
  /** Certificates that the server's must come from; the usual public ones when not given. */
  readonly ca?: string | Uint8Array | undefined;
  /** This client's own certificate, for servers that ask for one; with `key`. */
  readonly cert?: string | Uint8Array | undefined;
  /** The private key of `cert`. */
  readonly key?: string | Uint8Array | undefined;
  /** The name that the server's certificate must have, where it is not the host of the target. */
  readonly serverName?: string | undefined;
}

export interface ClientOptions {
  /** `true` or certificates, for a server with TLS; without it the connection is plain. */
  readonly tls?: boolean | TlsOptions | undefined;
  /** Goes along with every call; not sent to another machine unencrypted unless `allowPlainToken` says so. */
  readonly token?: string | undefined;
  readonly allowPlainToken?: boolean | undefined;
  /** Milliseconds each call may take unless it says otherwise; `Infinity` sets no deadline. Default: 30,000. */
  readonly timeoutMs?: number | undefined;
  /** Further options of gRPC's channel, such as `{"grpc.keepalive_time_ms": 10000}`. */
  readonly channelOptions?: ChannelOptions | undefined;
}

/** The largest message both ways; the server's own limit. gRPC's 4 MiB are too little for 1,024 long texts. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/** Options of the channel to `target`. Calls are spread over its addresses, and asked again by `retries.ts` only. */
export function channelOptions(target: string, options: ClientOptions): ChannelOptions {
  const tls = typeof options.tls === "object" ? options.tls : {};
  return {
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    // A dead connection is noticed after 40 s; the server allows a ping every 30 s.
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.keepalive_permit_without_calls": 0,
    // A server that starts or restarts is found again within 2 s: gRPC's own back-off goes up to two minutes.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 2000,
    "grpc.enable_retries": 0,
    "grpc.service_config": JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
    // A proxy of the environment would read what never leaves the machine, the token too.
    ...(isLocal(target) ? { "grpc.enable_http_proxy": 0 } : {}),
    ...(tls.serverName ? { "grpc.ssl_target_name_override": tls.serverName } : {}),
    ...options.channelOptions,
  };
}

/** Raises UsageError for a certificate without its key. */
export function channelCredentials(tls: boolean | TlsOptions | undefined): ChannelCredentials {
  if (!tls) return credentials.createInsecure();
  const { ca, cert, key } = tls === true ? ({} as TlsOptions) : tls;
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError("a client's certificate and its key belong together; give both or none");
  }
  return credentials.createSsl(pem(ca), pem(key), pem(cert));
}

/** The value of the header that brings a token; raises UsageError if others on the way could read it. */
export function authorization(target: string, options: ClientOptions): string | undefined {
  const { token, tls, allowPlainToken } = options;
  if (token === undefined) return undefined;
  if (!(tls || allowPlainToken || isLocal(target))) {
    throw new UsageError(
      `a token is not sent to ${target} unencrypted, where others could read it; use tls, ` +
        "or say that plain text is meant (allowPlainToken)",
    );
  }
  if (!/^[\x21-\x7e]+$/.test(token)) throw new UsageError("the token is empty or has characters that no token has");
  return `Bearer ${token}`;
}

/** The time of a call in milliseconds: its own or the client's. */
export function callTimeoutMs(own: number | undefined, clients: number): number {
  const chosen = own ?? clients;
  if (typeof chosen !== "number" || !(chosen >= 0)) {
    throw new UsageError(`timeoutMs must be 0 or more milliseconds, not ${String(chosen)}`);
  }
  return chosen;
}

/** Whether a target may be several addresses, by its spelling: a list, or a name other than this machine's. */
export function mayHaveOthers(target: string): boolean {
  if (target.startsWith("unix:")) return false;
  const addresses = addressesOf(target);
  if (addresses.includes(",")) return true;
  const host = hostOf(addresses);
  return !(isLocal(target) || host.startsWith("[") || /^[\d.]*$/.test(host));
}

/** Whether a target is this machine, by its spelling; names are not looked up. */
function isLocal(target: string): boolean {
  if (target.startsWith("unix:")) return true;
  const hosts = addressesOf(target).split(",").map(hostOf);
  return hosts.every((host) => ["localhost", "[::1]", "::1"].includes(host) || /^127(\.\d+){3}$/.test(host));
}

/** The addresses of a target, without its scheme and the name server that it may name. */
function addressesOf(target: string): string {
  return target.slice(target.lastIndexOf("/") + 1).replace(/^(dns|ipv4|ipv6):/, "");
}

/** The host of HOST:PORT. */
function hostOf(address: string): string {
  const colon = address.lastIndexOf(":");
  return colon > 0 ? address.slice(0, colon) || address : address;
}

function pem(content: string | Uint8Array | undefined): Buffer | null {
  return content === undefined ? null : Buffer.from(content);
}
