package backtest

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The size of a plot: 1200 × 500 points of a screen, 96 to the inch.
const (
	plotWidth  = 1200 * vg.Inch / 96
	plotHeight = 500 * vg.Inch / 96
	plotLegend = 24 * vg.Inch / 96
)

// Plot draws values, band, anomalies and faults. It keeps the same memory for any
// number of samples.
type Plot struct{ bins bins }

// Add takes one sample in. They come in order.
func (p *Plot) Add(r Row) { p.bins.add(r) }

// colours of the parts.
type colours struct{ value, envelope, band, threshold, anomaly, fault, label color.Color }

func paint() colours {
	return colours{
		value: color.RGBA{R: 38, G: 50, B: 56, A: 255}, envelope: color.RGBA{R: 144, G: 164, B: 174, A: 255},
		band: color.RGBA{R: 225, G: 240, B: 252, A: 255}, threshold: color.RGBA{R: 66, G: 135, B: 205, A: 255},
		anomaly: color.RGBA{R: 214, G: 40, B: 40, A: 255}, fault: color.RGBA{R: 255, G: 205, B: 195, A: 255}, label: color.RGBA{R: 56, G: 142, B: 60, A: 255},
	}
}

// Write draws the plot as svg or png. Interval is that of the samples: the line
// breaks where many are missing. Dates are of zone; nil: UTC.
func (p *Plot) Write(w io.Writer, format, title string, interval time.Duration, zone *time.Location) error {
	if !p.bins.begun {
		return fmt.Errorf("drawing %s: there is no sample", title)
	}
	if zone == nil {
		zone = time.UTC
	}
	d := &drawing{colours: paint(), pieces: p.bins.pieces(longGap * interval.Seconds()), width: max(p.bins.width, interval.Seconds()/2)}
	d.ranges()
	var to vg.CanvasWriterTo
	switch format {
	case "svg":
		to = vgsvg.New(plotWidth, plotHeight)
	case "png":
		to = vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(plotWidth, plotHeight), vgimg.UseDPI(96))}
	default:
		return fmt.Errorf("the format of a plot is %q, want svg or png", format)
	}
	c := draw.New(to)
	d.plot(title, p.bins.origin, zone).Draw(draw.Crop(c, 6, -14, 4, -plotLegend))
	d.legend(c)
	_, err := to.WriteTo(w)
	return err
}

// drawing is a plot that is being made.
type drawing struct {
	colours
	pieces                   [][]bin
	width                    float64 // seconds that a sample stands for at least
	left, right, bottom, top float64
	bounded, bad, faulty     bool // there is a threshold, an anomaly, a fault
	labelled                 bool
}

// ranges finds what the axes span and which parts there are. The band is shown
// as far as it lies near the values.
func (d *drawing) ranges() {
	d.bottom, d.top = math.Inf(1), math.Inf(-1)
	least, most := math.Inf(1), math.Inf(-1)
	for _, piece := range d.pieces {
		for _, b := range piece {
			d.bottom, d.top, d.right = min(d.bottom, b.low), max(d.top, b.high), max(d.right, b.until)
			if b.lowers > 0 {
				least, d.bounded = min(least, b.lower()), true
			}
			if b.uppers > 0 {
				most, d.bounded = max(most, b.upper()), true
			}
			d.bad, d.faulty, d.labelled = d.bad || b.anomalies > 0, d.faulty || b.fault, d.labelled || b.labelled
		}
	}
	near := .3 * (d.top - d.bottom)
	if near == 0 {
		near = max(math.Abs(d.top)/10, 1e-9)
	}
	d.bottom, d.top = min(d.bottom, max(least, d.bottom-near)), max(d.top, min(most, d.top+near))
	margin := max(.05*(d.top-d.bottom), near/10)
	d.bottom, d.top = d.bottom-margin, d.top+margin
	if d.right == 0 {
		d.right = d.width
	}
}

// plot makes axes, title and parts.
func (d *drawing) plot(title string, origin time.Time, zone *time.Location) *plot.Plot {
	p := plot.New()
	p.Title.Text = title
	p.Title.TextStyle.Font = sans(11)
	p.Title.Padding = vg.Points(4)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = d.left, d.right, d.bottom, d.top
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Tick.Label.Font = sans(9)
		a.LineStyle.Color, a.Tick.LineStyle.Color = color.Gray{Y: 120}, color.Gray{Y: 120}
		a.Padding = 0
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = dates{origin, zone}, figures{}
	p.Add(d)
	return p
}

// sans is the font of all text.
func sans(points font.Length) font.Font {
	return font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, points)
}

// Plot is part of plot.Plotter.
func (d *drawing) Plot(c draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&c)
	x := func(v float64) vg.Length { return toX(v) }
	y := func(v float64) vg.Length { return toY(min(max(v, d.bottom), d.top)) }
	for _, piece := range d.pieces {
		d.bandOf(c, piece, x, y)
		d.shade(c, piece, x, func(b bin) bool { return b.fault }, translucent(d.fault, 190), c.Min.Y, c.Max.Y)
		d.values(c, piece, x, y)
		d.shade(c, piece, x, func(b bin) bool { return b.labelled }, d.label, c.Min.Y, c.Min.Y+vg.Points(4))
	}
	for _, t := range p.Y.Tick.Marker.Ticks(d.bottom, d.top) {
		c.StrokeLine2(draw.LineStyle{Color: color.RGBA{A: 22}, Width: vg.Points(.5)}, c.Min.X, toY(t.Value), c.Max.X, toY(t.Value))
	}
	for _, piece := range d.pieces {
		d.anomalies(c, piece, x, y)
	}
}

// scale turns a figure into a place on the canvas.
type scale = func(float64) vg.Length

// shade fills the time of the bins that are meant, two points wide at least.
func (d *drawing) shade(c draw.Canvas, piece []bin, x scale, meant func(bin) bool, with color.Color, low, high vg.Length) {
	for i := 0; i < len(piece); i++ {
		if !meant(piece[i]) {
			continue
		}
		from := piece[i].at
		for i+1 < len(piece) && meant(piece[i+1]) {
			i++
		}
		until := piece[i].until + d.width
		if i+1 < len(piece) {
			until = max(piece[i].until, min(until, piece[i+1].at))
		}
		left := x(from)
		right := min(max(x(until), left+vg.Points(1.5)), c.Max.X)
		c.FillPolygon(with, []vg.Point{{X: left, Y: low}, {X: right, Y: low}, {X: right, Y: high}, {X: left, Y: high}})
	}
}

// bandOf fills what is normal and draws the thresholds.
func (d *drawing) bandOf(c draw.Canvas, piece []bin, x, y scale) {
	for len(piece) > 0 {
		var upper, lower, edge []vg.Point
		i := 0
		for ; i < len(piece) && piece[i].uppers+piece[i].lowers > 0; i++ {
			b := piece[i]
			top, bottom := d.top, d.bottom
			if b.uppers > 0 {
				top = b.upper()
				upper = append(upper, vg.Point{X: x(b.at), Y: y(top)})
			}
			if b.lowers > 0 {
				bottom = b.lower()
				lower = append(lower, vg.Point{X: x(b.at), Y: y(bottom)})
			}
			edge = append(edge, vg.Point{X: x(b.at), Y: y(top)}, vg.Point{X: x(b.at), Y: y(bottom)})
		}
		if len(edge) > 2 {
			c.FillPolygon(translucent(d.band, 200), around(edge))
		}
		style := draw.LineStyle{Color: d.threshold, Width: vg.Points(.8)}
		c.StrokeLines(style, upper, lower)
		piece = piece[max(i, 1):]
	}
}

// translucent is a colour that what lies below shines through.
func translucent(c color.Color, alpha uint8) color.Color {
	r, g, b, _ := c.RGBA()
	return color.NRGBA{R: uint8(r >> 8), G: uint8(g >> 8), B: uint8(b >> 8), A: alpha}
}

// around orders pairs of top and bottom points along the outline.
func around(pairs []vg.Point) []vg.Point {
	outline := make([]vg.Point, 0, len(pairs))
	for i := 0; i < len(pairs); i += 2 {
		outline = append(outline, pairs[i])
	}
	for i := len(pairs) - 1; i > 0; i -= 2 {
		outline = append(outline, pairs[i])
	}
	return outline
}

// values draws from the least to the greatest value, and the mean of each bin.
func (d *drawing) values(c draw.Canvas, piece []bin, x, y scale) {
	var edge, line []vg.Point
	for _, b := range piece {
		edge = append(edge, vg.Point{X: x(b.at), Y: y(b.high)}, vg.Point{X: x(b.at), Y: y(b.low)})
		line = append(line, vg.Point{X: x(b.at), Y: y(b.mean())})
	}
	c.FillPolygon(translucent(d.envelope, 150), around(edge))
	c.StrokeLines(draw.LineStyle{Color: d.value, Width: vg.Points(.7)}, line)
	if len(piece) == 1 {
		c.DrawGlyph(draw.GlyphStyle{Color: d.value, Radius: vg.Points(1), Shape: draw.CircleGlyph{}}, line[0])
	}
}

// anomalies marks the extreme ones of each bin.
func (d *drawing) anomalies(c draw.Canvas, piece []bin, x, y scale) {
	dot := draw.GlyphStyle{Color: d.anomaly, Radius: vg.Points(1.5), Shape: draw.CircleGlyph{}}
	for _, b := range piece {
		if b.anomalies == 0 {
			continue
		}
		c.DrawGlyph(dot, vg.Point{X: x(b.at), Y: y(b.worstBad)})
		if b.lowestBad < b.worstBad {
			c.DrawGlyph(dot, vg.Point{X: x(b.at), Y: y(b.lowestBad)})
		}
	}
}

// legend names the parts that there are, in a line above the plot.
func (d *drawing) legend(c draw.Canvas) {
	style := text.Style{Font: sans(9), Color: color.Black, Handler: plot.DefaultTextHandler, YAlign: draw.YCenter}
	middle := c.Max.Y - plotLegend/2
	at := c.Min.X + vg.Points(40)
	for _, e := range []struct {
		there bool
		name  string
		with  color.Color
		high  vg.Length
	}{
		{true, "value (mean)", d.value, 1}, {true, "least to greatest", translucent(d.envelope, 150), 8}, {d.bounded, "normal", d.band, 8},
		{d.bounded, "threshold", d.threshold, 1}, {d.bad, "anomaly", d.anomaly, 3}, {d.faulty, "fault", d.fault, 8}, {d.labelled, "labelled as faulty", d.label, 4},
	} {
		if !e.there {
			continue
		}
		wide := vg.Points(16)
		if e.high == 3 {
			wide = 3
		}
		c.FillPolygon(e.with, []vg.Point{{X: at, Y: middle - e.high/2}, {X: at + wide, Y: middle - e.high/2}, {X: at + wide, Y: middle + e.high/2}, {X: at, Y: middle + e.high/2}})
		at += wide + vg.Points(4)
		c.FillText(style, vg.Point{X: at, Y: middle}, e.name)
		at += style.Width(e.name) + vg.Points(18)
	}
}
