// Package term is how the demo speaks to people: it is given a writer and says
// whether a terminal stands behind it; it gives colours where they are wanted
// and a line that shows that something long is still going on.
package term

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Colour is a code of the terminal.
type Colour string

// The colours used. Each has a meaning and is never the only one to carry it.
const (
	Bold   Colour = "1"
	Dim    Colour = "2"
	Red    Colour = "31" // missed, wrong
	Green  Colour = "32" // kept, well
	Yellow Colour = "33" // under way
)

// narrow is what is left for details on a terminal of 80 columns.
const narrow = 30

// Printer writes lines to one writer; its methods may be called from several
// goroutines.
type Printer struct {
	w       io.Writer
	tty     bool
	colours bool
	mu      sync.Mutex
	live    bool // the cursor stands in a line that will be written again
	lost    func(error)
}

// New gives a printer. Colours and lines that are written again are used on a
// terminal alone, and not on one that knows no codes (TERM is dumb or not set);
// no colours when NO_COLOR is set. A nil writer discards all.
func New(w io.Writer) *Printer {
	if w == nil {
		w = io.Discard
	}
	p := &Printer{w: w}
	if f, ok := w.(*os.File); ok {
		p.tty = isTerminal(f) && !slices.Contains([]string{"", "dumb"}, os.Getenv("TERM"))
	}
	p.colours = p.tty && os.Getenv("NO_COLOR") == ""
	return p
}

// isTerminal asks the file for terminal settings, which only a terminal has.
func isTerminal(f *os.File) bool {
	var t syscall.Termios
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&t)))
	return errno == 0
}

// OnLost names who is told, once, that a write was refused: nobody reads any
// more. It is called before the first line is written.
func (p *Printer) OnLost(tell func(error)) { p.lost = tell }

// write is the one place that writes; mu is held.
func (p *Printer) write(text string) {
	if _, err := io.WriteString(p.w, text); err != nil && p.lost != nil {
		p.lost(err)
		p.lost = nil
	}
}

// Paint gives text in a colour, or as it is where there are none.
func (p *Printer) Paint(c Colour, text string) string {
	if !p.colours || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// Line writes one whole line.
func (p *Printer) Line(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
	p.write(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
}

// wipe removes a line that counts, before another is written; mu is held.
func (p *Printer) wipe() {
	if p.live {
		p.write("\r\x1b[K")
		p.live = false
	}
}

// rewrite writes over the line that counts.
func (p *Printer) rewrite(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.write("\r\x1b[K" + text)
	p.live = true
}

// During says what is being done, does it, and says how long it took. In
// between the seconds count up: in place on a terminal, else a line each 20 s.
// detail may be nil; it is asked for a few words at each count.
func (p *Printer) During(ctx context.Context, what string, detail func() string, work func(context.Context) error) error {
	began := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- work(ctx) }()
	every := 20 * time.Second
	if p.tty {
		every = time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil {
				p.Line("  %-34s %s", what, p.Paint(Red, "did not work"))
				return err
			}
			p.Line("  %-34s %s", what, p.Paint(Green, Seconds(time.Since(began))))
			return nil
		case <-tick.C:
			p.count(what, began, detail)
		}
	}
}

// count says how long it has been going on.
func (p *Printer) count(what string, began time.Time, detail func() string) {
	words := ""
	if detail != nil {
		words = detail()
	}
	if runes := []rune(words); p.tty && len(runes) > narrow {
		words = string(runes[:narrow]) // a line that wraps cannot be written again in place
	}
	text := fmt.Sprintf("  %-34s %s  %s", what, p.Paint(Yellow, "… "+Seconds(time.Since(began).Truncate(time.Second))), p.Paint(Dim, words))
	if p.tty {
		p.rewrite(text)
		return
	}
	p.Line("%s", text)
}

// Seconds writes a time as people read it on a clock of seconds.
func Seconds(d time.Duration) string {
	if d == d.Truncate(time.Second) {
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
