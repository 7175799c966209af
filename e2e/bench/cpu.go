package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/onefiveten/onefiveten/demo/process"
)

const (
	settle = 500 * time.Millisecond  // of each turn, not measured
	window = 1200 * time.Millisecond // of each turn, measured
)

// scene is one kind of probe in the comparison.
type scene struct {
	kind, what, name string
	rate             int // targets, each probed every second
	goal             float64
	demand           bool // ours is measured on /probe, too

	module                                           string
	targets                                          []string
	schedule, onDemand, theirs, ratios, demandRatios []float64 // a value per round; µs per probe
}

// scenes are what is compared. The rates leave room on a machine of two
// CPUs; the ratio depends on them, so they are shown.
func (b *bench) scenes(addresses map[string][]string) []*scene {
	all := []*scene{
		{kind: plainHTTP, what: "HTTP", name: "127.0.0.1", rate: 1000, goal: .25, demand: true},
		{kind: plainHTTP, what: "HTTP", name: "localhost", rate: 1000, goal: .25},
		{kind: tlsHTTP1, what: "HTTPS, HTTP/1.1", name: "127.0.0.1", rate: 400, goal: .6, demand: true},
		{kind: tlsHTTP2, what: "HTTPS, HTTP/2", name: "127.0.0.1", rate: 400, goal: .6, demand: true},
		{kind: plainTCP, what: "TCP", name: "127.0.0.1", rate: 1000, goal: .15, demand: true},
		{kind: plainTCP, what: "TCP", name: "localhost", rate: 1000, goal: .15},
		// Few probes: each wakes the process by itself, which costs both programs as
		// much and so raises the ratio.
		{kind: plainHTTP, what: "HTTP", name: "127.0.0.1", rate: 200, goal: .25},
		{kind: plainTCP, what: "TCP", name: "127.0.0.1", rate: 200, goal: .15},
	}
	if b.isolated {
		all = append(all,
			&scene{kind: plainHTTP, what: "HTTP", name: dnsName, rate: 1000, goal: .25},
			&scene{kind: tlsHTTP1, what: "HTTPS, HTTP/1.1", name: dnsName, rate: 400, goal: .6},
			&scene{kind: plainTCP, what: "TCP", name: dnsName, rate: 1000, goal: .15})
	}
	all = slices.DeleteFunc(all, func(s *scene) bool { return !strings.Contains(s.what+" to "+s.name, b.match) })
	for _, s := range all {
		s.module, s.targets = named(s.kind, s.name, addresses[s.kind], s.rate)
	}
	return all
}

// duel are both programs and what they probe.
type duel struct {
	*bench
	targets, ours, theirs *program
	client                *http.Client // one for both, as Prometheus has it for a job
}

// cpu compares what a probe costs.
func (b *bench) cpu(ctx context.Context) error {
	var group process.Group
	defer group.Close()
	targets, addresses, err := b.startTargets(ctx, &group)
	if err != nil {
		return err
	}
	d := &duel{bench: b, targets: targets, client: &http.Client{Transport: &http.Transport{MaxIdleConns: 20000, MaxIdleConnsPerHost: 1000, DisableCompression: true}}}
	if d.ours, err = b.start(ctx, &group, "ours", b.ours, b.modules(900*time.Millisecond), asBench); err != nil {
		return err
	}
	if d.theirs, err = b.start(ctx, &group, "theirs", b.theirs, b.modules(900*time.Millisecond)); err != nil {
		return err
	}
	scenes := b.scenes(addresses)
	err = b.say.During(ctx, "CPU per probe", nil, func(ctx context.Context) error {
		for _, s := range scenes {
			if err := d.compare(ctx, s); err != nil {
				return fmt.Errorf("%s to %s: %w", s.what, s.name, err)
			}
			b.say.Line("  measured %s to %s", s.what, s.name)
		}
		return nil
	})
	if err == nil {
		b.tellCPU(scenes)
	}
	return err
}

// compare lets both programs take turns: ours by its schedule, theirs, ours on
// demand, and again.
func (d *duel) compare(ctx context.Context, s *scene) error {
	for _, p := range []*program{d.ours, d.theirs} {
		if err := d.works(ctx, p, s); err != nil {
			return err
		}
	}
	// A round that others on this machine have disturbed is made again.
	var disturbed error
	for tries := 0; len(s.ratios) < d.rounds && tries < 2*d.rounds; tries++ {
		if err := d.round(ctx, s); errors.Is(err, errBusy) {
			disturbed = err
			continue
		} else if err != nil {
			return err
		}
	}
	if len(s.ratios) == 0 {
		return disturbed
	}
	return nil
}

// errBusy says that the probes of a turn were not made in time.
var errBusy = errors.New("the machine is too busy")

// round is one turn of each.
func (d *duel) round(ctx context.Context, s *scene) error {
	ours, err := d.scheduled(ctx, s)
	if err != nil {
		return err
	}
	theirs, err := d.onDemand(ctx, d.theirs, s)
	if err != nil {
		return err
	}
	if s.demand {
		demand, err := d.onDemand(ctx, d.ours, s)
		if err != nil {
			return err
		}
		s.onDemand, s.demandRatios = append(s.onDemand, demand), append(s.demandRatios, demand/theirs)
	}
	s.schedule, s.theirs, s.ratios = append(s.schedule, ours), append(s.theirs, theirs), append(s.ratios, ours/theirs)
	return nil
}

// works wants a good answer to one probe: cheap failures are no success.
func (d *duel) works(ctx context.Context, p *program, s *scene) error {
	page, err := p.get(ctx, d.client, probePath(s.module, s.targets[0]), http.Header{})
	if err != nil {
		return err
	}
	return succeeded(page)
}

// succeeded wants a page that tells of a good probe.
func succeeded(page []byte) error {
	text, err := plain(page)
	if err == nil && !bytes.Contains(text, []byte("\nprobe_success 1\n")) {
		err = fmt.Errorf("the probe fails:\n%s", text)
	}
	return err
}

// scheduled measures ours on its own schedule: every target each second, and
// every result scraped once.
func (d *duel) scheduled(ctx context.Context, s *scene) (float64, error) {
	if err := d.ours.reload(ctx, d.schedule(s)); err != nil {
		return 0, err
	}
	cost, err := d.during(ctx, d.ours, s, func(ctx context.Context) error {
		return paced(ctx, 1, func(int) error {
			page, err := d.ours.get(ctx, d.client, "/metrics/probes", asPrometheus())
			if err == nil && bytes.Contains(page, []byte("\nprobe_failure_reason{")) {
				err = fmt.Errorf("a probe of %s fails", d.ours.Name())
			}
			return err
		})
	})
	// Whatever came of it: theirs is measured alone.
	if reloadErr := d.ours.reload(ctx, d.modules(900*time.Millisecond)); err == nil {
		err = reloadErr
	}
	return cost, err
}

// schedule is the configuration of a scene.
func (d *duel) schedule(s *scene) string {
	return d.bench.schedule(s.module, s.targets, time.Second, 900*time.Millisecond)
}

// onDemand measures a program that is asked for each probe, as Prometheus does.
func (d *duel) onDemand(ctx context.Context, p *program, s *scene) (float64, error) {
	return d.during(ctx, p, s, func(ctx context.Context) error {
		return paced(ctx, s.rate, func(i int) error {
			page, err := p.get(ctx, d.client, probePath(s.module, s.targets[i%len(s.targets)]), asPrometheus())
			if err != nil || i%100 != 0 {
				return err // to look into each would take the CPU from what is measured
			}
			return succeeded(page)
		})
	})
}

// during measures the CPU of p per connection that the targets got, in µs, while
// drive runs.
func (d *duel) during(ctx context.Context, p *program, s *scene, drive func(context.Context) error) (float64, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	driven := make(chan error, 1)
	go func() { driven <- drive(ctx) }()
	cost, err := d.window(ctx, p, s)
	stop()
	if driveErr := <-driven; err == nil {
		err = driveErr
	}
	return cost, err
}

// window is the measured part of a turn.
func (d *duel) window(ctx context.Context, p *program, s *scene) (float64, error) {
	if err := wait(ctx, settle); err != nil {
		return 0, err
	}
	probes, used, err := d.read(ctx, p, s)
	if err != nil {
		return 0, err
	}
	if err := wait(ctx, window); err != nil {
		return 0, err
	}
	probesAfter, usedAfter, err := d.read(ctx, p, s)
	if err != nil {
		return 0, err
	}
	n := probesAfter - probes
	if want := float64(s.rate) * window.Seconds(); float64(n) < want*.8 || float64(n) > want*1.2 {
		return 0, fmt.Errorf("%s made %d probes in %s, want about %g: %w", p.Name(), n, window, want, errBusy)
	}
	return float64((usedAfter - used).Nanoseconds()) / 1000 / float64(n), nil
}

// read tells how many connections the targets of a scene got, and the CPU time
// of the prober.
func (d *duel) read(ctx context.Context, p *program, s *scene) (int64, time.Duration, error) {
	var counts map[string]int64
	if err := d.targets.ask(ctx, "/counts", &counts); err != nil {
		return 0, 0, err
	}
	used, err := cpuTime(p.Pid())
	return counts[s.kind], used, err
}

// paced calls do that often per second, evenly, whether the calls before have
// ended or not. The end of ctx is no error.
func paced(ctx context.Context, rate int, do func(i int) error) error {
	var open sync.WaitGroup
	var once sync.Once
	var first error
	start := time.Now()
	for i := 0; wait(ctx, time.Until(start.Add(time.Duration(i)*time.Second/time.Duration(rate)))) == nil; i++ {
		open.Go(func() {
			if err := do(i); err != nil && ctx.Err() == nil {
				once.Do(func() { first = err })
			}
		})
	}
	open.Wait()
	return first
}

// spread is the median, the least and the greatest.
func spread(values []float64) (median, least, greatest float64) {
	if len(values) == 0 {
		return 0, 0, 0
	}
	sorted := slices.Sorted(slices.Values(values))
	median = sorted[len(sorted)/2]
	if len(sorted)%2 == 0 {
		median = (median + sorted[len(sorted)/2-1]) / 2
	}
	return median, sorted[0], sorted[len(sorted)-1]
}

// tellCPU prints the comparison and how it was made.
func (b *bench) tellCPU(scenes []*scene) {
	b.say.Line("\nCPU per probe, µs: median of %d rounds, and of the ratios within each round (least … greatest)", b.rounds)
	b.say.Line("  %-16s %-21s %5s %6s %9s  %-22s %6s   %s", "probe", "target named", "per s", "ours", "blackbox", "ratio", "goal", "ours on /probe, ratio")
	for _, s := range scenes {
		ours, _, _ := spread(s.schedule)
		theirs, _, _ := spread(s.theirs)
		ratio, least, greatest := spread(s.ratios)
		line := fmt.Sprintf("  %-16s %-21s %5d %6.0f %9.0f  %-22s ≤ %-4g %s", s.what, s.name, s.rate, ours, theirs,
			fmt.Sprintf("%.3f (%.3f … %.3f)", ratio, least, greatest), s.goal, verdict(ratio <= s.goal))
		if s.demand {
			demand, _, _ := spread(s.onDemand)
			ratio, _, _ := spread(s.demandRatios)
			line += fmt.Sprintf("  %.0f, %.2f", demand, ratio)
		}
		b.say.Line("%s", line)
	}
	b.say.Line(`  Method: both are the real programs with GOMAXPROCS=1 and their defaults; the targets are another process. Ours probes
  each target every second by its own schedule, and its page is scraped each second: every result is fetched once. Theirs
  is asked on /probe over kept connections with Prometheus' headers, as often per second. CPU is that of the prober's
  process alone (its CPU clock, user and kernel, all threads), divided by the connections that the targets accepted.
  In each round both take turns of %s after %s to settle. Each probe is a new connection with a full handshake:
  nothing is resumed. The ratio grows as the rate falls: each wake-up of a process costs the same for both. 127.0.0.1 needs no name server, localhost stands in /etc/hosts, %s is asked of a name
  server on loopback by every probe (where namespaces are allowed). Certificates are ECDSA P-256 under an authority (ca_file).`, window, settle, dnsName)
}

// verdict is how a figure stands to its goal.
func verdict(kept bool) string {
	if kept {
		return "kept  "
	}
	return "MISSED"
}
