/**
 * The options of TLS by which these CA certificates are trusted, and no others. As in Go, each of them is trusted by
 * itself: the root that issued it need not be among them.
 */
export function trusting(ca: readonly string[]) {
  return { ca: [...ca], allowPartialTrustChain: true };
}
