package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	pconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"github.com/onefiveten/onefiveten/backtest"
	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/promapi"
	"github.com/onefiveten/onefiveten/sigma"
)

// backtesting are the flags of backtest.
type backtesting struct {
	stdin io.Reader // nil: that of the process

	csv                     string
	url, query, http        string
	from, to, signal        string
	step, timeout           time.Duration
	zone                    *time.Location
	kind, format, plot      string
	rate                    backtest.Rate
	skipBad, score          bool
	progress, progressGiven bool
	plotGiven, rangeGiven   bool
	intervalGiven           bool
	queryGiven              []*given // flags that go with a query alone

	changes []func(*backtest.Settings) // what flags change of the settings
}

const backtestHelp = `Tell what thresholds would have made of the past: a CSV file, standard input, or a range query.

The default is a summary to decide from: alerts per day at k = 2 to 6, the longest alert, the share of time that was anomalous, the k and the cap that keep to --rate, and the faults. --format prints every sample instead. Samples may be any number: memory stays the same.

CSV is timestamp,value[,label] with or without a header; timestamps are unix seconds, RFC 3339, or YYYY-MM-DD HH:MM:SS; label is 1 for what is known to be a fault. Values that are empty or NaN, and samples out of order or of the same instant, are refused and counted.

  probe-exporter backtest latency.csv --plot=latency.svg
  probe-exporter backtest --prometheus.url=http://127.0.0.1:9090 --query='max(queue_length)' --from=14d --step=15s
  probe-exporter backtest --config.file=probe-exporter.yml --signal=shop/queue --from=14d --k=4
  zcat old.csv.gz | probe-exporter backtest - --format=csv > judged.csv`

// given tells whether a flag was written.
type given struct {
	name string
	is   bool
}

// ofQuery marks a flag that a CSV has no use for.
func (b *backtesting) ofQuery(name string, flag *kingpin.FlagClause) *kingpin.FlagClause {
	g := &given{name: name}
	b.queryGiven = append(b.queryGiven, g)
	return flag.IsSetByUser(&g.is)
}

// defineBacktest declares the command.
func (a *app) defineBacktest(k *kingpin.Application) {
	b := &a.backtesting
	c := k.Command("backtest", backtestHelp)
	c.Arg("csv", "File with samples, or - for standard input.").SetValue(&value{name: "csv", take: func(text string) bool {
		b.csv = cmp.Or(text, "-") // the library gives - as nothing
		return true
	}})
	b.defineInput(c)
	b.defineBaseline(c)
	b.defineFault(c)
	b.defineOutput(c)
	c.Validate(func(*kingpin.CmdClause) error { return b.usage() })
}

// defineInput declares where samples come from.
func (b *backtesting) defineInput(c *kingpin.CmdClause) {
	b.ofQuery("prometheus.url", c.Flag("prometheus.url", "Prometheus that --query is asked of; that of the configuration by default.").PlaceHolder("URL")).StringVar(&b.url)
	b.ofQuery("http.config.file", c.Flag("http.config.file", "File with the http_config for --prometheus.url; that of the configuration by default.").PlaceHolder("FILE")).StringVar(&b.http)
	b.ofQuery("prometheus.timeout", declareDuration(c, "prometheus.timeout", "Time for one question (30s).", &b.timeout).Default("30s"))
	c.Flag("query", "Expression that gives one series.").PlaceHolder("PROMQL").StringVar(&b.query)
	b.ofQuery("from", c.Flag("from", "Begin of --query: a timestamp, or how long ago.").Default("7d")).StringVar(&b.from)
	b.ofQuery("to", c.Flag("to", "End of --query: a timestamp, or how long ago.").Default("0s")).StringVar(&b.to)
	b.ofQuery("step", declareDuration(c, "step", "Time between two values of --query; the interval of the --signal, else 15s.", &b.step))
	c.Flag("signal", "Take baseline and fault from this signal of the configuration, and its expression where neither CSV nor --query is given.").PlaceHolder("SERVICE/NAME").StringVar(&b.signal)
	c.Flag("skip-bad", "Leave out and count lines that are no samples, instead of ending at the first.").BoolVar(&b.skipBad)
	declare(c, "timezone", "Zone of timestamps that name none, of the hours of a season, and of what is printed; UTC by default.", "a name such as Asia/Shanghai", func(text string) (ok bool) {
		zone, err := time.LoadLocation(text)
		b.zone = zone
		b.change(func(s *backtest.Settings) { s.Baseline.Zone = zone })
		return err == nil && text != ""
	}).PlaceHolder("ZONE")
}

// defineBaseline declares what is normal. A flag changes the default, or what the
// configuration says of the signal.
func (b *backtesting) defineBaseline(c *kingpin.CmdClause) {
	declare(c, "kind", "What a sample is: a value, judged against its own past, or availability, 1 for a failed probe and 0 for a good one.", "value or availability", oneOf(&b.kind, "value", "availability")).PlaceHolder("value")
	b.duration(c, "interval", "Time between two samples; the median of the first 100 steps by default, and --step of a query.", func(s *backtest.Settings) *time.Duration {
		b.intervalGiven = true
		return &s.Interval
	})
	b.duration(c, "window", "What came before is remembered this long (1h).", func(s *backtest.Settings) *time.Duration { return &s.Baseline.Window })
	b.number(c, "k", "Standard deviations between mean and threshold (3).", func(s *backtest.Settings) *float64 { return &s.Baseline.K })
	b.count(c, "min-samples", "No threshold with fewer samples (30).", func(s *backtest.Settings) *int { return &s.Baseline.MinSamples })
	b.number(c, "floor", "Least standard deviation, in the unit of the value (0).", func(s *backtest.Settings) *float64 { return &s.Baseline.Floor })
	b.word(c, "direction", "Side of the mean on which a value is an anomaly: upper, lower or both (upper).", func(s *backtest.Settings, w string) { s.Baseline.Direction = sigma.Direction(w) }, "upper", "lower", "both")
	b.word(c, "season", "none, or daily: an hour is compared with the same hour of other working days or weekends, too (none).", func(s *backtest.Settings, w string) { s.Baseline.Season = sigma.Season(w) }, "none", "daily")
	b.duration(c, "hold", "How long a fault is kept out of the baseline (30m, or half of the window where that is less).", func(s *backtest.Settings) *time.Duration { return &s.Baseline.Hold })
	b.number(c, "range.min", "Least value that there can be.", func(s *backtest.Settings) *float64 {
		if !(s.Baseline.Low < s.Baseline.High) {
			s.Baseline.High = math.Inf(1)
		}
		b.rangeGiven = true
		return &s.Baseline.Low
	})
	b.number(c, "range.max", "Greatest value that there can be.", func(s *backtest.Settings) *float64 {
		if !(s.Baseline.Low < s.Baseline.High) {
			s.Baseline.Low = math.Inf(-1)
		}
		b.rangeGiven = true
		return &s.Baseline.High
	})
}

// defineFault declares when anomalies are a fault.
func (b *backtesting) defineFault(c *kingpin.CmdClause) {
	b.duration(c, "fault.window", "Sliding window of the fault probability e (3m; of availability 1m).", func(s *backtest.Settings) *time.Duration { return &s.Fault.Window })
	b.number(c, "fault.floor", "Least threshold of e (.55; .05).", func(s *backtest.Settings) *float64 { return &s.Fault.Floor })
	b.number(c, "fault.cap", "Greatest threshold of e (.6; .5).", func(s *backtest.Settings) *float64 { return &s.Fault.Cap })
	b.count(c, "fault.min-anomalies", "Fewer anomalies in the window are no fault (3; 2).", func(s *backtest.Settings) *int { return &s.Fault.MinAnomalies })
	b.number(c, "fault.k", "Standard deviations of e above its mean (3).", func(s *backtest.Settings) *float64 { return &s.Fault.K })
	b.count(c, "fault.clear", "Good samples in a row that end a fault (3).", func(s *backtest.Settings) *int { return &s.Fault.Clear })
}

// defineOutput declares what is printed.
func (b *backtesting) defineOutput(c *kingpin.CmdClause) {
	declare(c, "rate", "Alerts that are wanted at most; of labelled samples false ones.", "alerts/time such as 1/20d", func(text string) (ok bool) {
		var err error
		b.rate, err = backtest.ParseRate(text)
		return err == nil
	}).Default("1/20d")
	declare(c, "format", "summary, or csv or json with every sample: "+strings.Join(backtest.Columns(true), ",")+".", "summary, csv or json", oneOf(&b.format, "summary", "csv", "json")).Default("summary")
	c.Flag("score", "Tell how unusual each sample is, and by which feature.").BoolVar(&b.score)
	c.Flag("plot", "Draw values, band, anomalies and faults into this file, by its end as SVG or PNG.").PlaceHolder("FILE.svg|FILE.png").IsSetByUser(&b.plotGiven).StringVar(&b.plot)
	c.Flag("progress", "Tell how far it is: a bar where standard error is a terminal, which is the default there, else a line every 10s.").IsSetByUser(&b.progressGiven).BoolVar(&b.progress)
}

func (b *backtesting) change(by func(*backtest.Settings)) { b.changes = append(b.changes, by) }

func (b *backtesting) duration(c *kingpin.CmdClause, name, help string, of func(*backtest.Settings) *time.Duration) {
	declare(c, name, help, "a duration with its unit, such as 30s or 5m", func(text string) bool {
		d, err := model.ParseDuration(text)
		b.change(func(s *backtest.Settings) { *of(s) = time.Duration(d) })
		return err == nil
	}).PlaceHolder("DURATION")
}

func (b *backtesting) number(c *kingpin.CmdClause, name, help string, of func(*backtest.Settings) *float64) {
	declare(c, name, help, "a number", func(text string) bool {
		v, err := strconv.ParseFloat(text, 64)
		b.change(func(s *backtest.Settings) { *of(s) = v })
		return err == nil && !math.IsNaN(v) && !math.IsInf(v, 0)
	}).PlaceHolder("NUMBER")
}

func (b *backtesting) count(c *kingpin.CmdClause, name, help string, of func(*backtest.Settings) *int) {
	declare(c, name, help, "a whole number", func(text string) bool {
		n, err := strconv.Atoi(text)
		b.change(func(s *backtest.Settings) { *of(s) = n })
		return err == nil
	}).PlaceHolder("COUNT")
}

func (b *backtesting) word(c *kingpin.CmdClause, name, help string, set func(*backtest.Settings, string), words ...string) {
	declare(c, name, help, strings.Join(words, ", "), func(text string) bool {
		text = strings.ToLower(text)
		b.change(func(s *backtest.Settings) { set(s, text) })
		return slices.Contains(words, text)
	}).PlaceHolder(strings.Join(words, "|"))
}

// declareDuration declares a flag that takes a duration of Prometheus.
func declareDuration(c flagging, name, help string, into *time.Duration) *kingpin.FlagClause {
	return declare(c, name, help, "a duration with its unit, such as 30s or 5m", func(text string) bool {
		d, err := model.ParseDuration(text)
		*into = time.Duration(d)
		return err == nil && d > 0
	}).PlaceHolder("DURATION")
}

// usage refuses what the parser cannot.
func (b *backtesting) usage() error {
	i := slices.IndexFunc(b.queryGiven, func(g *given) bool { return g.is })
	switch {
	case b.csv != "" && b.query != "":
		return errors.New("backtest: got a CSV and --query, want one of them")
	case b.csv == "" && b.query == "" && b.signal == "":
		return errors.New("backtest: want a CSV file, - for standard input, --query or --signal")
	case b.csv != "" && i >= 0:
		return fmt.Errorf("backtest: --%s goes with --query or --signal, not with a CSV", b.queryGiven[i].name)
	case b.csv == "" && b.skipBad:
		return errors.New("backtest: --skip-bad goes with a CSV, not with --query or --signal")
	case b.plotGiven && plotFormat(b.plot) == "":
		return fmt.Errorf("--plot: want a name that ends in .svg or .png, got %q", b.plot)
	case b.signal != "" && !strings.Contains(b.signal, "/"):
		return fmt.Errorf("--signal: want service/name, got %q", b.signal)
	}
	return nil
}

// plotFormat is the format that a file name asks for; empty: none of ours.
func plotFormat(name string) string {
	switch ext := strings.ToLower(filepath.Ext(name)); ext {
	case ".svg", ".png":
		return ext[1:]
	}
	return ""
}

// backtest runs the command.
func (a *app) backtest(ctx context.Context) error {
	b := &a.backtesting
	s, err := a.backtestSettings()
	if err != nil {
		return err
	}
	p := &progress{}
	in, err := a.openSamples(ctx, s, p)
	if err != nil {
		return err
	}
	defer in.close()
	s.Score, s.Alone = b.score, b.format != "summary"
	stop := p.watch(a.stderr, b.shows(a), b.progressGiven && b.progress)
	report, plot, err := a.judge(in, s.Settings)
	stop()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("backtest: interrupted after %d samples", p.rows.Load())
	case err != nil && in.csv == nil && strings.Contains(err.Error(), in.name): // it names the query already
		return err
	case err != nil:
		return fmt.Errorf("%s: %w", in.name, err)
	}
	if err := a.report(in, report); err != nil {
		return err
	}
	if plot == nil {
		return nil
	}
	title := in.name
	if in.csv != nil {
		title = filepath.Base(title)
	}
	return b.draw(plot, report, title)
}

// judge runs all samples through the settings.
func (a *app) judge(in *input, s backtest.Settings) (*backtest.Report, *backtest.Plot, error) {
	b := &a.backtesting
	var to []func(backtest.Row) error
	var plot *backtest.Plot
	if b.plot != "" {
		plot = &backtest.Plot{}
		to = append(to, func(r backtest.Row) error { plot.Add(r); return nil })
	}
	finish := func() error { return nil }
	if b.format != "summary" {
		rows, err := backtest.NewRows(a.stdout, b.format, b.zone, b.score)
		if err != nil {
			return nil, nil, err
		}
		to, finish = append(to, rows.Write), rows.Flush
	}
	report, err := backtest.Run(in, s, func(r backtest.Row) error {
		for _, tell := range to {
			if err := tell(r); err != nil {
				return err
			}
		}
		return nil
	})
	return report, plot, cmp.Or(err, finish())
}

// report prints what was found. Where standard output holds the samples, what was
// left out is told apart from them.
func (a *app) report(in *input, r *backtest.Report) error {
	b := &a.backtesting
	if in.csv != nil && in.csv.Bad > 0 {
		fmt.Fprintf(a.stderr, "probe-exporter: %s: %d lines that are no samples were left out, the first is line %d\n", in.name, in.csv.Bad, in.csv.FirstAt)
	}
	if b.format != "summary" {
		if refused := backtest.Refusals(r.Refused); refused != "" {
			fmt.Fprintf(a.stderr, "probe-exporter: %s: refused: %s\n", in.name, refused)
		}
		return nil
	}
	return r.WriteText(a.stdout, backtest.Page{Name: in.name, Zone: b.zone, Wanted: b.rate})
}

// draw writes the plot, whole or not at all.
func (b *backtesting) draw(plot *backtest.Plot, r *backtest.Report, name string) error {
	var picture bytes.Buffer
	if err := plot.Write(&picture, plotFormat(b.plot), backtest.Title(name, r.Settings), r.Settings.Interval, b.zone); err != nil {
		return err
	}
	if err := replace(b.plot, picture.Bytes()); err != nil {
		return fmt.Errorf("writing the plot: %w", err)
	}
	return nil
}

// input is where samples come from.
type input struct {
	backtest.Source
	name  string
	csv   *backtest.Reader // nil: a query
	close func() error
	count *progress
}

// Read is part of backtest.Source.
func (in *input) Read() (backtest.Sample, error) {
	s, err := in.Source.Read()
	if err == nil {
		in.count.rows.Add(1)
	}
	return s, err
}

// openSamples opens the file, standard input, or the query.
func (a *app) openSamples(ctx context.Context, s *backtestSettings, p *progress) (*input, error) {
	b := &a.backtesting
	if b.csv == "" {
		return a.openQuery(ctx, s, p)
	}
	in := &input{name: b.csv, close: func() error { return nil }, count: p}
	var from io.Reader
	if b.csv == "-" {
		in.name, from = "standard input", interruptible(ctx, cmp.Or[io.Reader](b.stdin, os.Stdin))
	} else {
		f, err := os.Open(b.csv)
		if err != nil {
			return nil, err
		}
		if about, err := f.Stat(); err == nil && about.Mode().IsRegular() {
			p.size = about.Size()
		}
		from, in.close = &checked{ctx, f}, f.Close
	}
	in.csv = backtest.NewReader(&counted{from, p}, b.zone)
	in.csv.SkipBad = b.skipBad
	in.Source = in.csv
	return in, nil
}

// openQuery asks Prometheus.
func (a *app) openQuery(ctx context.Context, s *backtestSettings, p *progress) (*input, error) {
	b := &a.backtesting
	now := time.Now()
	from, err := pastInstant("--from", b.from, now, b.zone)
	if err != nil {
		return nil, err
	}
	to, err := pastInstant("--to", b.to, now, b.zone)
	if err != nil {
		return nil, err
	}
	q := backtest.Question{Query: s.query, From: from, To: to, Step: s.Interval}
	client, err := promapi.New(promapi.Settings{Name: config.Masked(s.url), URL: s.url, HTTPConfig: s.http, Timeout: model.Duration(b.timeout)})
	if err != nil {
		return nil, err
	}
	series, err := backtest.NewSeries(ctx, client, q)
	if err != nil {
		return nil, fmt.Errorf("--from, --to and --step: %w", err)
	}
	p.points = q.Points()
	return &input{Source: series, name: s.query, close: func() error { return nil }, count: p}, nil
}

// pastInstant reads --from and --to.
func pastInstant(flag, text string, now time.Time, zone *time.Location) (time.Time, error) {
	if d, err := model.ParseDuration(text); err == nil {
		return now.Add(-time.Duration(d)).Truncate(time.Second), nil
	}
	t, err := backtest.ParseTime(text, cmp.Or(zone, time.UTC))
	if err != nil {
		return t, fmt.Errorf("%s: %w; want how long ago, such as 14d, or %s", flag, err, backtest.Forms)
	}
	return t, nil
}

// httpConfig reads --http.config.file.
func (b *backtesting) httpConfig() (*pconfig.HTTPClientConfig, error) {
	c, _, err := pconfig.LoadHTTPConfigFile(b.http)
	if err != nil {
		return nil, fmt.Errorf("--http.config.file: %s: %w", b.http, err)
	}
	c.SetDirectory(filepath.Dir(b.http))
	return c, nil
}
