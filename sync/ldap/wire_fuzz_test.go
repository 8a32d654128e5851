package ldap

import (
	"bufio"
	"bytes"
	"testing"

	asn1 "github.com/go-asn1-ber/asn1-ber"
)

// FuzzDecoding feeds what a broken or hostile server could send: it must end with
// an error or a message, in memory that follows what was really sent.
func FuzzDecoding(f *testing.F) {
	entry := asn1.NewSequence("")
	entry.AppendChild(asn1.NewInteger(asn1.ClassUniversal, asn1.TypePrimitive, asn1.TagInteger, 1, ""))
	op := asn1.Encode(asn1.ClassApplication, asn1.TypeConstructed, 4, nil, "")
	op.AppendChild(octets("cn=a"))
	op.AppendChild(asn1.NewSequence(""))
	entry.AppendChild(op)
	f.Add(entry.Bytes())
	f.Add([]byte("\x30\x84\x0f\xff\xff\xff\x02\x01\x01"))
	f.Add([]byte("\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\x00\x04\x00\x04\x00"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		in, buf := bufio.NewReader(bytes.NewReader(sent)), []byte(nil)
		for {
			m, next, err := readMessage(in, buf)
			if cap(next) > 4*len(sent)+(128<<10) {
				t.Fatalf("%d bytes made a buffer of %d", len(sent), cap(next))
			}
			if err != nil {
				return
			}
			buf = next
			p := &page{}
			switch m.op {
			case opSearchEntry:
				err = p.add(m.body)
			case opSearchDone:
				if _, err = parseResult(m.body); err == nil {
					err = p.done(m.controls)
				}
			}
			if err != nil {
				return
			}
		}
	})
}
