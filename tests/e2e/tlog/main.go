// Verifies an exported log, or a receipt, with code that nobody here wrote: golang.org/x/mod/sumdb's note and tlog.
//
//	verify log DIR VKEY [-older CHECKPOINT]... [-cosigner VKEY]...
//	verify proof FILE ENTRY VKEY [-cosigner VKEY]...
//
// Ours are the way to the files and the framing of entries, of C2SP cosignatures (c2sp.org/tlog-cosignature) and of
// proofs (c2sp.org/tlog-proof), which x/mod has not. One line on standard output tells what was proven; status 1 and
// a line on standard error what was not.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8 // a C2SP tile is 256 hashes wide

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var plain, older, cosigners []string
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "-older":
			i++
			older = append(older, args[i])
		case "-cosigner":
			i++
			cosigners = append(cosigners, args[i])
		default:
			plain = append(plain, args[i])
		}
	}
	if len(plain) == 3 && plain[0] == "log" {
		return verifyLog(plain[1], plain[2], older, cosigners)
	}
	if len(plain) == 4 && plain[0] == "proof" {
		return verifyProof(plain[1], plain[2], plain[3], cosigners)
	}
	return fmt.Errorf("usage: verify log DIR VKEY | verify proof FILE ENTRY VKEY")
}

// verifyLog proves every tile and entry of a folder under its checkpoint, and each older checkpoint its prefix.
func verifyLog(dir, vkey string, older, cosigners []string) error {
	raw, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return err
	}
	tree, signed, err := open(raw, vkey, cosigners)
	if err != nil {
		return err
	}
	if tree.N > 0 {
		if err := verifyEntries(dir, tree); err != nil {
			return err
		}
	}
	hashes := tlog.TileHashReader(tree, folder(dir))
	for _, path := range older {
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		was, _, err := open(raw, vkey, nil)
		if err != nil {
			return fmt.Errorf("older: %w", err)
		}
		proof, err := tlog.ProveTree(tree.N, was.N, hashes)
		if err != nil {
			return fmt.Errorf("older: %w", err)
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, was.N, was.Hash); err != nil {
			return fmt.Errorf("older: %w", err)
		}
	}
	fmt.Printf("size=%d root=%v signatures=%d older=%d\n", tree.N, tree.Hash, signed, len(older))
	return nil
}

// verifyEntries compares every entry with its hash, as authenticated by the tiles up to the root.
func verifyEntries(dir string, tree tlog.Tree) error {
	hashes := tlog.TileHashReader(tree, folder(dir))
	for begin := int64(0); begin < tree.N; begin += 1 << height {
		width := min(tree.N-begin, 1<<height)
		content, err := os.ReadFile(filepath.Join(dir, path(tlog.Tile{H: height, L: -1, N: begin >> height, W: int(width)})))
		if err != nil {
			return err
		}
		var indexes []int64
		var entries [][]byte
		for n := begin; n < begin+width; n++ {
			if len(content) < 2 || len(content) < 2+int(binary.BigEndian.Uint16(content)) {
				return fmt.Errorf("entry %d: the bundle ends", n)
			}
			length := 2 + int(binary.BigEndian.Uint16(content))
			entries = append(entries, content[2:length])
			indexes = append(indexes, tlog.StoredHashIndex(0, n))
			content = content[length:]
		}
		if len(content) > 0 {
			return fmt.Errorf("bundle of %d: bytes too many", begin)
		}
		found, err := hashes.ReadHashes(indexes)
		if err != nil {
			return err
		}
		for i, entry := range entries {
			if tlog.RecordHash(entry) != found[i] {
				return fmt.Errorf("entry %d: not the one whose hash is in the tree", begin+int64(i))
			}
		}
	}
	return nil
}

// verifyProof proves one entry by its tlog-proof file.
func verifyProof(file, entryFile, vkey string, cosigners []string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	entry, err := os.ReadFile(entryFile)
	if err != nil {
		return err
	}
	head, checkpoint, ok := bytes.Cut(text, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if !ok || lines[0] != "c2sp.org/tlog-proof@v1" {
		return fmt.Errorf("not a tlog-proof")
	}
	lines = lines[1:]
	if strings.HasPrefix(lines[0], "extra ") {
		lines = lines[1:]
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "index "), 10, 64)
	if err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[1:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		proof = append(proof, hash)
	}
	tree, signed, err := open(checkpoint, vkey, cosigners)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)); err != nil {
		return err
	}
	fmt.Printf("index=%d size=%d signatures=%d\n", index, tree.N, signed)
	return nil
}

// open returns the tree of a checkpoint that the log signed, and how many known keys signed it.
func open(raw []byte, vkey string, cosigners []string) (tlog.Tree, int, error) {
	log, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, 0, err
	}
	known := []note.Verifier{log}
	for _, each := range cosigners {
		one, err := newCosigner(each)
		if err != nil {
			return tlog.Tree{}, 0, err
		}
		known = append(known, one)
	}
	opened, err := note.Open(raw, note.VerifierList(known...))
	if err != nil {
		return tlog.Tree{}, 0, err
	}
	byLog := false
	for _, signature := range opened.Sigs {
		byLog = byLog || signature.Hash == log.KeyHash() && signature.Name == log.Name()
	}
	lines := strings.Split(opened.Text, "\n")
	if !byLog || len(lines) < 4 || lines[0] != log.Name() {
		return tlog.Tree{}, 0, fmt.Errorf("not a checkpoint of %s", log.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, 0, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, len(opened.Sigs), err
}

// A cosigner verifies cosignature/v1 lines of one Ed25519 key.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func newCosigner(vkey string) (*cosigner, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, fmt.Errorf("not a vkey")
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 33 || key[0] != 4 {
		return nil, fmt.Errorf("not an Ed25519 cosignature key")
	}
	sum := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	if fmt.Sprintf("%x", sum[:4]) != parts[1] {
		return nil, fmt.Errorf("the key's id is not that of its name and bytes")
	}
	return &cosigner{parts[0], binary.BigEndian.Uint32(sum[:4]), key[1:]}, nil
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }

func (c *cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	time := binary.BigEndian.Uint64(sig)
	signed := append([]byte(fmt.Sprintf("cosignature/v1\ntime %d\n", time)), msg...)
	return ed25519.Verify(c.key, signed, sig[8:])
}

// A folder reads tiles as C2SP lays them: the paths of x/mod without the height.
type folder string

func (f folder) Height() int { return height }

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range tiles {
		content, err := os.ReadFile(filepath.Join(string(f), path(tile)))
		if err != nil {
			return nil, err
		}
		found = append(found, content)
	}
	return found, nil
}

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func path(tile tlog.Tile) string {
	long := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
	return strings.Replace(long, "tile/data/", "tile/entries/", 1)
}
