package backtest

import (
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

var _, _, _ = plot.New, vgimg.New, vgsvg.New
