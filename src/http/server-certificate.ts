/** PEM text. */
export interface ServerCertificateMaterial {
  readonly key: string;
  /** The certificate followed by its intermediates. */
  readonly cert: string;
  /** Who may issue client certificates; null: clients are not asked for one. */
  readonly ca: string | null;
}

/** A server's TLS material, renewed while the server runs. */
export interface ServerCertificate {
  /** A matching pair. Whether there is a `ca` must not change. */
  current(): ServerCertificateMaterial;
  /** Calls back after `current` has changed; the function it returns ends that. */
  onChange(listener: () => void): () => void;
}
