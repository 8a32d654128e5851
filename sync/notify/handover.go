package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"strings"
	"time"
)

// verdict is what became of an attempt to hand a mail over.
type verdict int

const (
	taken      verdict = iota // the server answers for it now
	notNow                    // not sent; another attempt may help
	notEver                   // not sent, and never will be
	notKnown                  // handed over, and no answer came
	notAllowed                // not begun: it is another worker's
)

// handover hands one mail over on an open connection.
type handover struct {
	from, to string
	text     io.WriterTo
	begin    func() error  // marks the mail; what follows may be sent
	answer   time.Duration // how long the answer to the whole text may take
}

// errBroken says that the connection cannot be used again.
var errBroken = errors.New("the connection to the mail server is broken")

// hand goes through RFC 5321 section 3.3: MAIL, RCPT, DATA, the text, and the dot. The
// words are the server's, or say what went wrong. The error is errBroken if the
// connection must not be used again.
func (c *connection) hand(ctx context.Context, h handover) (v verdict, words string, err error) {
	stop := context.AfterFunc(ctx, func() { _ = c.net.Close() })
	defer stop()
	if h.needsUTF8() {
		if ok, _ := c.smtp.Extension("SMTPUTF8"); !ok {
			return notEver, "the mail server does not take addresses with characters beyond ASCII (no SMTPUTF8)", nil
		}
	}
	if err := c.command(func() error { return c.smtp.Mail("<" + h.from + ">") }); err != nil {
		// The sender is refused, not this mail: another attempt helps once that is mended.
		return notNow, "the sender " + h.from + " was refused: " + wordsOf(err), c.reset(err)
	}
	if err := c.command(func() error { return c.smtp.Rcpt("<" + h.to + ">") }); err != nil {
		return judged(err), wordsOf(err), c.reset(err)
	}
	var body io.WriteCloser
	err = c.command(func() (err error) {
		body, err = c.smtp.Data()
		return err
	})
	if err != nil {
		return judged(err), wordsOf(err), c.reset(err)
	}
	if err := c.smtp.UpdateDeadline(h.answer); err != nil {
		return notNow, wordsOf(err), errBroken
	}
	if _, err := h.text.WriteTo(body); err != nil { // without the dot, the server forgets what it has
		return notNow, wordsOf(err), errBroken
	}
	if err := h.begin(); err != nil {
		return notAllowed, "the database did not answer", errBroken
	}
	if !stop() { // the connection is closed already, and the dot was never sent
		return notNow, "the program was stopped", errBroken
	}
	// From here on the answer is waited for even if the program is to stop, for a while.
	hurry := context.AfterFunc(ctx, func() { _ = c.net.SetDeadline(time.Now().Add(min(h.answer, hurryTime))) })
	defer hurry()
	err = body.Close()
	switch {
	case err == nil:
		if r, ok := body.(interface{ ServerResponse() string }); ok {
			words = clean(r.ServerResponse())
		}
		return taken, words, nil
	case codeOf(err) != 0:
		return judged(err), wordsOf(err), c.reset(err)
	}
	return notKnown, "no answer to the whole text: " + wordsOf(err), errBroken
}

// hurryTime is how long the answer to a mail that was handed over is waited for when
// the program stops.
const hurryTime = 10 * time.Second

func (h *handover) needsUTF8() bool {
	return strings.ContainsFunc(h.to+h.from, func(r rune) bool { return r >= 0x80 })
}

func (c *connection) command(do func() error) error {
	if err := c.smtp.UpdateDeadline(commandTime); err != nil {
		return err
	}
	return do()
}

// reset prepares the connection for another mail after a refusal.
func (c *connection) reset(refusal error) error {
	const closing = 421 // RFC 5321 section 3.8
	if code := codeOf(refusal); code == 0 || code == closing {
		return errBroken
	}
	if err := c.command(c.smtp.Reset); err != nil {
		return errBroken
	}
	return nil
}

// judged tells a refusal for good, 5xx, from everything that may pass.
func judged(err error) verdict {
	if code := codeOf(err); code >= 500 && code < 600 {
		return notEver
	}
	return notNow
}

// codeOf is the code of a server's answer, 0 if the error is none.
func codeOf(err error) int {
	var answer *textproto.Error
	if errors.As(err, &answer) {
		return answer.Code
	}
	return 0
}

// wordsOf are a server's answer, or what went wrong, in one line.
func wordsOf(err error) string {
	var answer *textproto.Error
	if errors.As(err, &answer) {
		return clean(fmt.Sprintf("%d %s", answer.Code, answer.Msg))
	}
	return clean(err.Error())
}

// maxWords is the most characters kept of what a server says.
const maxWords = 500

func clean(s string) string { return oneLine(s, maxWords) }
