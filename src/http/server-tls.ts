/** A private key and its certificate that are renewed while the server runs. PEM text. */
interface ServerKeyPair {
  /** Always a pair that belongs together; `cert` is followed by its intermediates. */
  current(): { readonly key: string; readonly cert: string };
  /** Calls back after `current` has changed; the function it returns ends that. */
  onChange(listener: () => void): () => void;
}

/** TLS material of one server. */
export interface ServerTls {
  readonly keyPair: ServerKeyPair;
  /** PEM of those who may issue client certificates; null: clients are not asked for one. */
  readonly clientCa: string | null;
}
