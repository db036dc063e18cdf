package example;

import gateway.v1.UploadServiceOuterClass.BatchReceipt;
import java.io.ByteArrayOutputStream;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.Signature;
import java.security.spec.X509EncodedKeySpec;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;

/** A receipt's proof: commitment, inclusion (RFC 9162, 2.1.3.2), signed checkpoint (c2sp.org/tlog-proof). */
final class Proof {
  private static final byte[] ED25519_SPKI = HexFormat.of().parseHex("302a300506032b6570032100");

  /** Returns what is proven; throws when anything does not hold. */
  static String verify(BatchReceipt receipt, byte[] message, String organisation, String vkey) throws Exception {
    String leaf = receipt.getLeaf().toStringUtf8();
    String commitment = HexFormat.of().formatHex(sha256(receipt.getSalt().toByteArray(), message));
    // The leaf is canonical JSON: no spaces, so that its fields can be looked for as text.
    must(leaf.contains("\"commitment\":\"" + commitment + "\""), "the leaf commits to other bytes");
    must(leaf.contains("\"organisation\":\"" + organisation + "\""), "the leaf is of another organisation");
    must(leaf.contains("\"request_id\":\"" + receipt.getRequestId() + "\""), "the leaf is of another batch");

    String[] parts = receipt.getProof().split("\n\n", 2);
    String[] lines = parts[0].split("\n");
    must(lines[0].equals("c2sp.org/tlog-proof@v1"), "not a proof");
    int at = lines[1].startsWith("extra ") ? 2 : 1;
    long index = Long.parseLong(lines[at].substring("index ".length()));

    String[] note = parts[1].split("\n\n", 2);
    String text = note[0] + "\n";
    must(signed(text, note[1], vkey), "the checkpoint is not signed by the log's key");
    String[] checkpoint = text.split("\n");
    must(vkey.startsWith(checkpoint[0] + "+"), "the checkpoint is of another log");
    long size = Long.parseLong(checkpoint[1]);
    byte[] root = Base64.getDecoder().decode(checkpoint[2]);

    must(index < size, "the index lies outside the log");
    long place = index;
    long last = size - 1;
    byte[] hash = sha256(new byte[] {0}, receipt.getLeaf().toByteArray());
    for (String line : Arrays.copyOfRange(lines, at + 1, lines.length)) {
      byte[] sibling = Base64.getDecoder().decode(line);
      must(last > 0, "the path is too long");
      if (place % 2 == 1 || place == last) {
        hash = sha256(new byte[] {1}, sibling, hash);
        while (place % 2 == 0 && place != 0) {
          place >>= 1;
          last >>= 1;
        }
      } else {
        hash = sha256(new byte[] {1}, hash, sibling);
      }
      place >>= 1;
      last >>= 1;
    }
    must(last == 0 && Arrays.equals(hash, root), "the leaf is not in the log");
    return "proven: entry " + index + " of the log " + checkpoint[0] + " of " + size + " entries";
  }

  /** A vkey is name+id+base64(type, key), a signature line "— name base64(id, signature)". */
  private static boolean signed(String text, String signatures, String vkey) throws Exception {
    String[] key = vkey.split("\\+", 3);
    byte[] bytes = Base64.getDecoder().decode(key[2]);
    must(bytes.length == 33 && bytes[0] == 1, "not an Ed25519 key");
    var out = new ByteArrayOutputStream();
    out.write(ED25519_SPKI);
    out.write(bytes, 1, 32);
    var verifier = Signature.getInstance("Ed25519");
    for (String line : signatures.split("\n")) {
      String[] words = line.split(" ");
      byte[] payload = Base64.getDecoder().decode(words[2]);
      byte[] id = Arrays.copyOf(payload, 4);
      if (words[1].equals(key[0]) && HexFormat.of().formatHex(id).equals(key[1])) {
        verifier.initVerify(KeyFactory.getInstance("Ed25519").generatePublic(new X509EncodedKeySpec(out.toByteArray())));
        verifier.update(text.getBytes("UTF-8"));
        return verifier.verify(Arrays.copyOfRange(payload, 4, payload.length));
      }
    }
    return false;
  }

  private static byte[] sha256(byte[]... parts) throws Exception {
    var digest = MessageDigest.getInstance("SHA-256");
    for (byte[] part : parts) {
      digest.update(part);
    }
    return digest.digest();
  }

  private static void must(boolean holds, String otherwise) {
    if (!holds) {
      throw new IllegalStateException(otherwise);
    }
  }

  private Proof() {}
}
