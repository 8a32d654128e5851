package ldap

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
)

// guidOrder is where the bytes of a GUID's text lie in Active Directory's binary
// form: the first three fields are little-endian ([MS-DTYP] section 2.3.4.2).
var guidOrder = [16]int{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15}

// guidText writes 16 bytes of an objectGUID as a lower-case UUID.
func guidText(b string) string {
	var ordered [16]byte
	for i, from := range guidOrder {
		ordered[i] = b[from]
	}
	var out [36]byte
	hex.Encode(out[0:8], ordered[0:4])
	hex.Encode(out[9:13], ordered[4:6])
	hex.Encode(out[14:18], ordered[6:8])
	hex.Encode(out[19:23], ordered[8:10])
	hex.Encode(out[24:36], ordered[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

// guidBytes is the inverse of guidText.
func guidBytes(text string) (string, bool) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return "", false
	}
	ordered, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(ordered) != 16 {
		return "", false
	}
	var b [16]byte
	for i, from := range guidOrder {
		b[from] = ordered[i]
	}
	return string(b[:]), true
}

// sidText writes a binary security identifier as S-1-5-21-… ([MS-DTYP] section
// 2.4.2), or returns "" if b is none.
func sidText(b string) string {
	if len(b) < 8 || b[0] != 1 || len(b) != 8+4*int(b[1]) {
		return ""
	}
	authority := uint64(0)
	for i := 2; i < 8; i++ {
		authority = authority<<8 | uint64(b[i])
	}
	out := strconv.AppendUint([]byte("S-1-"), authority, 10)
	for i := 8; i < len(b); i += 4 {
		part := uint32(b[i]) | uint32(b[i+1])<<8 | uint32(b[i+2])<<16 | uint32(b[i+3])<<24
		out = strconv.AppendUint(append(out, '-'), uint64(part), 10)
	}
	return string(out)
}

// sidBytes is the inverse of sidText.
func sidBytes(text string) (string, bool) {
	parts := strings.Split(text, "-")
	if len(parts) < 3 || len(parts) > 3+15 || parts[0] != "S" || parts[1] != "1" {
		return "", false
	}
	authority, err := strconv.ParseUint(parts[2], 10, 48)
	if err != nil {
		return "", false
	}
	b := []byte{1, byte(len(parts) - 3)}
	for shift := 40; shift >= 0; shift -= 8 {
		b = append(b, byte(authority>>shift))
	}
	for _, part := range parts[3:] {
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			return "", false
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return string(b), true
}
