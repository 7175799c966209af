package replay

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/onefiveten/onefiveten/sigma"
)

// Size of a picture, and the seed that it shows.
const (
	width     = 9 * vg.Inch
	height    = 5.4 * vg.Inch
	drawnSeed = 3
	before    = 30 * time.Minute // of the healthy service that is drawn
	points    = 500              // of a line at most, or a few more
)

// scene is one replay as it is drawn. Instants are minutes since the fault began.
type scene struct {
	fault        Fault
	value        []plotter.XYs // a line for each part without a gap
	lower, upper plotter.XYs
	anomalies    plotter.XYs
	alerts       [][][2]float64 // by column: from, to
}

// picture plays one fault: value, our band and anomalies are drawn above, and when
// each contender alerted below.
func picture(f Fault, columns []contender) *scene {
	onset := f.onset(drawnSeed)
	samples := f.samples(drawnSeed)
	c := &scene{fault: f}
	c.look(samples, newThreshold(f.Base.season()), onset)
	for _, column := range columns {
		c.alerts = append(c.alerts, firing(column.fresh(f.Base.season()), samples, onset))
	}
	return c
}

// minutes is the place of a sample, and whether it is drawn.
func minutes(s Sample, onset time.Duration) (x float64, drawn bool) {
	since := s.At.Sub(begin()) - onset
	return since.Minutes(), since >= -before
}

// look takes value, band and anomalies.
func (c *scene) look(samples []Sample, own *threshold, onset time.Duration) {
	gap, nth := true, max(1, int((c.fault.For+before+tail)/every)/points)
	for i, s := range samples {
		own.alert(s)
		x, drawn := minutes(s, onset)
		switch {
		case !drawn:
		case s.Gone:
			gap = true
		default:
			if own.said.Anomaly {
				c.anomalies = append(c.anomalies, plotter.XY{X: x, Y: s.V})
			}
			if i%nth == 0 || x == 0 {
				c.take(x, s.V, own.said, gap)
				gap = false
			}
		}
	}
}

func (c *scene) take(x, v float64, j sigma.Judgement, gap bool) {
	if gap {
		c.value = append(c.value, nil)
	}
	last := len(c.value) - 1
	c.value[last] = append(c.value[last], plotter.XY{X: x, Y: v})
	c.lower = append(c.lower, plotter.XY{X: x, Y: j.Lower})
	c.upper = append(c.upper, plotter.XY{X: x, Y: j.Upper})
}

// firing gives the spans in which a contender alerts, from its first sample to the
// one after its last.
func firing(a alerting, samples []Sample, onset time.Duration) (spans [][2]float64) {
	was := false
	for _, s := range samples {
		is := a.alert(s)
		if x, drawn := minutes(s, onset); drawn && is {
			if !was || len(spans) == 0 {
				spans = append(spans, [2]float64{x, x})
			}
			spans[len(spans)-1][1] = x + every.Minutes()
		}
		was = is
	}
	return spans
}

// Colours of Okabe and Ito, which everybody can tell apart.
func blue() color.Color       { return color.NRGBA{0, 114, 178, 255} }
func vermilion() color.Color  { return color.NRGBA{213, 94, 0, 255} }
func greenBand() color.Color  { return color.NRGBA{0, 158, 115, 45} }
func faultShade() color.Color { return color.NRGBA{213, 94, 0, 28} }
func greyShade() color.Color  { return color.NRGBA{110, 110, 110, 22} }

// svg writes the picture.
func (c *scene) svg(columns []contender) ([]byte, error) {
	canvas := vgsvg.New(width, height)
	if err := c.draw(draw.New(canvas), columns); err != nil {
		return nil, fmt.Errorf("drawing %q: %w", c.fault.Name, err)
	}
	var out bytes.Buffer
	_, err := canvas.WriteTo(&out)
	return out.Bytes(), err
}

// draw puts both parts on a canvas, with their time axes in line.
func (c *scene) draw(on draw.Canvas, columns []contender) error {
	top, err := c.values()
	if err != nil {
		return err
	}
	bottom, err := c.timeline(columns)
	if err != nil {
		return err
	}
	on.SetColor(color.White) // pages are dark at times
	on.Fill(on.Rectangle.Path())
	parts := [][]*plot.Plot{{top}, {bottom}}
	tiles := draw.Tiles{Rows: 2, Cols: 1, PadX: 4 * vg.Millimeter, PadTop: 2 * vg.Millimeter, PadBottom: 2 * vg.Millimeter, PadLeft: 2 * vg.Millimeter, PadRight: 4 * vg.Millimeter}
	for i, row := range plot.Align(parts, tiles, on) {
		parts[i][0].Draw(row[0])
	}
	return nil
}

// page is an empty plot of the minutes of the scene.
func (c *scene) page() *plot.Plot {
	p := plot.New()
	styles := []*text.Style{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle}
	for _, s := range styles {
		s.Font = font.Font{Typeface: "Liberation", Variant: "Sans", Size: 10}
	}
	p.Title.TextStyle.Font.Size = 13
	p.X.Min, p.X.Max = -before.Minutes(), (c.fault.For + tail).Minutes()
	p.X.Tick.Marker = plot.ConstantTicks(c.ticks())
	return p
}

// unit is that of the time axis: minutes, or hours of a long replay.
func (c *scene) unit() (name string, minutes, step float64) {
	switch {
	case c.fault.For > 3*time.Hour:
		return "hours", 60, 1
	case c.fault.For > time.Hour:
		return "minutes", 1, 30
	default:
		return "minutes", 1, 10
	}
}

// ticks are those of the time axis.
func (c *scene) ticks() (all []plot.Tick) {
	_, unit, step := c.unit()
	for x := 0 - math.Floor(before.Minutes()/unit/step)*step; x*unit <= (c.fault.For + tail).Minutes(); x += step {
		all = append(all, plot.Tick{Value: x * unit, Label: fmt.Sprint(x)})
	}
	return all
}

// plainTicks are those of the values, written as people do.
func plainTicks(low, high float64) []plot.Tick {
	all := plot.DefaultTicks{}.Ticks(low, high)
	for i, t := range all {
		if t.Label != "" {
			all[i].Label = fmt.Sprint(math.Round(t.Value))
		}
	}
	return all
}

// values is the upper part.
func (c *scene) values() (*plot.Plot, error) {
	p := c.page()
	p.Title.Text, p.Y.Label.Text = c.fault.Name, "value"
	p.Legend.Top, p.Legend.XOffs = true, -2*vg.Millimeter
	low, high := c.extent()
	if err := fill(p, append(clamped(c.upper, low, high), backwards(clamped(c.lower, low, high))...), greenBand(), "our band"); err != nil {
		return nil, err
	}
	for i, part := range c.value {
		line, err := plotter.NewLine(part)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = blue(), .9
		if p.Add(line); i == 0 {
			p.Legend.Add("value", line)
		}
	}
	c.mark(p)
	p.Y.Min, p.Y.Max, p.Y.Tick.Marker = low, high, plot.TickerFunc(plainTicks)
	return p, c.shade(p)
}

// extent is what the values take, from 0, with room for the band and the legend.
func (c *scene) extent() (low, high float64) {
	for _, part := range c.value {
		for _, xy := range part {
			low, high = min(low, xy.Y), max(high, xy.Y)
		}
	}
	room := high - low
	return low - .15*room, high + .45*room
}

// clamped keeps a line in the picture.
func clamped(xys plotter.XYs, low, high float64) plotter.XYs {
	out := make(plotter.XYs, len(xys))
	for i, xy := range xys {
		out[i] = plotter.XY{X: xy.X, Y: min(max(xy.Y, low), high)}
	}
	return out
}

// fill adds an area without a border, with a name in the legend unless it is empty.
func fill(p *plot.Plot, edge plotter.XYs, with color.Color, name string) error {
	area, err := plotter.NewPolygon(edge)
	if err != nil {
		return err
	}
	area.Color, area.LineStyle.Width = with, 0
	if p.Add(area); name != "" {
		p.Legend.Add(name, area)
	}
	return nil
}

// mark puts a dot on each anomaly.
func (c *scene) mark(p *plot.Plot) {
	if len(c.anomalies) == 0 {
		return
	}
	p.Add(dots(c.anomalies))
	p.Legend.Add("anomaly", dots(nil))
}

// dots are small squares in one path: a path for each would make the file five
// times as large.
type dots plotter.XYs

// Plot draws them.
func (d dots) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	var path vg.Path
	for _, at := range d {
		square(&path, vg.Point{X: x(at.X), Y: y(at.Y)})
	}
	c.SetColor(vermilion())
	c.Fill(path)
}

// Thumbnail draws one for the legend.
func (dots) Thumbnail(c *draw.Canvas) {
	var path vg.Path
	square(&path, c.Center())
	c.SetColor(vermilion())
	c.Fill(path)
}

func square(path *vg.Path, at vg.Point) {
	const half = 1.2
	path.Move(vg.Point{X: at.X - half, Y: at.Y - half})
	path.Line(vg.Point{X: at.X + half, Y: at.Y - half})
	path.Line(vg.Point{X: at.X + half, Y: at.Y + half})
	path.Line(vg.Point{X: at.X - half, Y: at.Y + half})
	path.Close()
}

func backwards(xys plotter.XYs) plotter.XYs {
	out := make(plotter.XYs, len(xys))
	for i, xy := range xys {
		out[len(xys)-1-i] = xy
	}
	return out
}

// shade colours the time of the fault.
func (c *scene) shade(p *plot.Plot) error {
	with := faultShade()
	if c.fault.Harmless {
		with = greyShade()
	}
	return fill(p, rectangle(0, c.fault.For.Minutes(), p.Y.Min, p.Y.Max), with, "")
}

func rectangle(x0, x1, y0, y1 float64) plotter.XYs {
	return plotter.XYs{{X: x0, Y: y0}, {X: x1, Y: y0}, {X: x1, Y: y1}, {X: x0, Y: y1}}
}

// timeline is the lower part: a bar for each time that a contender alerted.
func (c *scene) timeline(columns []contender) (*plot.Plot, error) {
	p := c.page()
	unit, _, _ := c.unit()
	p.X.Label.Text = unit + " since the fault began"
	if c.fault.Harmless {
		p.X.Label.Text = unit + " since it began; this is no fault, every alert is false"
	}
	var names []plot.Tick
	thin := (p.X.Max - p.X.Min) / 400
	for i, column := range columns {
		y := float64(len(columns) - i)
		names = append(names, plot.Tick{Value: y, Label: column.name})
		for _, span := range c.alerts[i] {
			bar := rectangle(span[0], min(max(span[1], span[0]+thin), p.X.Max), y-.3, y+.3)
			if err := fill(p, bar, vermilion(), ""); err != nil {
				return nil, err
			}
		}
	}
	p.Y.Min, p.Y.Max = .4, float64(len(columns))+.6
	p.Y.Tick.Marker = plot.ConstantTicks(names)
	p.Y.Label.Text = "alerts"
	return p, c.shade(p)
}
