package notify

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// secretSize is the bytes of a new secret; the specification wants 24 to 64.
const secretSize = 32

// secretPrefix is what a secret begins with when people see it.
const secretPrefix = "whsec_"

// newSecret makes a key to sign with, and the text that its receiver is given.
func newSecret() (key []byte, text string) {
	key = make([]byte, secretSize)
	if _, err := rand.Read(key); err != nil {
		panic(err) // crypto/rand never fails on a supported system
	}
	return key, secretPrefix + base64.StdEncoding.EncodeToString(key)
}

// sign sets the headers of Standard Webhooks 1.0.0: an id that repeats of the same
// message share, the time of this attempt, and a signature by each of the keys.
func sign(h http.Header, id string, at time.Time, body []byte, keys [][]byte) {
	stamp := strconv.FormatInt(at.Unix(), 10)
	signatures := make([]string, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.", id, stamp)
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", stamp)
	h.Set("Webhook-Signature", strings.Join(signatures, " "))
}
