package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/provost-scim/provost/openapi"
)

// progress shows how far a run is, on one line of a terminal that it writes over.
// Anywhere else it shows nothing.
type progress struct {
	w     io.Writer
	width int // of the terminal; 0 shows nothing
	drawn bool
}

func newProgress(s *session, r *remote) *progress {
	p := &progress{w: s.stderr}
	if r.Quiet {
		return p
	}
	if width, ok := terminalWidth(s.stderr); ok {
		p.width = width
	}
	return p
}

// barWidth is how many characters the bar itself has.
const barWidth = 30

func (p *progress) show(run *openapi.Run) {
	if p.width == 0 {
		return
	}
	n := run.Progress
	line := string(run.Phase)
	switch {
	case run.Phase == openapi.RunPhaseRead:
		line = "reading: " + many(n.ReadUsers, "user") + ", " + many(n.ReadGroups, "group")
	case run.Phase == openapi.RunPhaseApply && n.Staged > 0:
		full := min(barWidth*n.Applied/n.Staged, barWidth)
		line = fmt.Sprintf("applying: [%s%s] %d of %d", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), n.Applied, n.Staged)
	case run.Phase == openapi.RunPhasePublish:
		line = "publishing effective membership"
	}
	fmt.Fprint(p.w, "\r\x1b[K"+cut(line, p.width-1))
	p.drawn = true
}

// clear takes the line away.
func (p *progress) clear() {
	if p.drawn {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
