package nab

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing/fstest"
	"time"
)

// packed holds the folders data and labels of the files that may be passed on.
// testdata/README.md says where they come from.
//
//go:embed testdata/nab.tar.gz
var packed []byte

// Row is one line of a file.
type Row struct {
	Time  time.Time // of the day as written, taken for UTC
	Value float64
}

// Window is a labelled anomaly: the places of its first and of its last row.
type Window struct{ First, Last int }

// File is one series with its labels. Windows are in order and do not overlap.
type File struct {
	Name    string // folder and name, as in the labels
	Rows    []Row
	Windows []Window
}

// Folder is the kind of series that it belongs to.
func (f *File) Folder() string { return path.Dir(f.Name) }

// Probation is how many rows at the beginning count for nothing.
func (f *File) Probation() int { return min(len(f.Rows)*15/100, 750) }

// Files reads the corpus: the folder that the environment variable NAB names, or
// the files that come with this package.
func Files() ([]File, error) {
	folder := os.Getenv("NAB")
	if folder == "" {
		return Own()
	}
	whole, err := filepath.Abs(folder)
	if err != nil {
		return nil, fmt.Errorf("NAB=%s: %w", folder, err)
	}
	files, err := Read(os.DirFS(whole))
	if err != nil {
		return nil, fmt.Errorf("NAB=%s, which is %s: %w", folder, whole, err)
	}
	return files, nil
}

// Own reads the files that come with this package.
func Own() ([]File, error) {
	fsys, err := unpack(packed)
	if err != nil {
		return nil, fmt.Errorf("unpacking the files of the benchmark: %w", err)
	}
	return Read(fsys)
}

// unpack holds an archive in memory.
func unpack(data []byte) (fs.FS, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	files := fstest.MapFS{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		files[h.Name] = &fstest.MapFile{Data: text}
	}
}

// Read reads the files that labels/combined_windows.json names, in order of their
// names. Any subset of the corpus will do, and the labels of all of it beside any
// of its folders: those of a folder that is not there are left out. A file that is
// missing from a folder is an error.
func Read(fsys fs.FS) ([]File, error) {
	const labels = "labels/combined_windows.json"
	text, err := fs.ReadFile(fsys, labels)
	if err != nil {
		return nil, err
	}
	var windows map[string][][2]string
	if err := json.Unmarshal(text, &windows); err != nil {
		return nil, fmt.Errorf("reading %s: %w", labels, err)
	}
	var files []File
	for name, list := range windows {
		f := File{Name: name}
		if _, err := fs.Stat(fsys, path.Join("data", f.Folder())); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := f.read(fsys, list); err != nil {
			return nil, fmt.Errorf("reading data/%s: %w", name, err)
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("reading data: of the %d files in %s not even the folder is there, want data/<folder>/<name>.csv", len(windows), labels)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

func (f *File) read(fsys fs.FS, windows [][2]string) error {
	file, err := fsys.Open(path.Join("data", f.Name))
	if err != nil {
		return err
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return err
	}
	if len(lines) == 0 || !slices.Equal(lines[0], []string{"timestamp", "value"}) {
		return errors.New("its first line is not timestamp,value")
	}
	for i, line := range lines[1:] {
		at, err := time.Parse(time.DateTime, line[0])
		if err != nil {
			return fmt.Errorf("line %d: %w", i+2, err)
		}
		v, err := strconv.ParseFloat(line[1], 64)
		if err != nil {
			return fmt.Errorf("line %d: %w", i+2, err)
		}
		f.Rows = append(f.Rows, Row{at, v})
	}
	return f.label(windows)
}

// label finds the rows of windows. Of several rows of one time the first is meant:
// times may stand twice, or go back.
func (f *File) label(windows [][2]string) error {
	from := 0
	for _, w := range windows {
		first, err := f.place(w[0], from)
		if err != nil {
			return err
		}
		last, err := f.place(w[1], first)
		if err != nil {
			return err
		}
		f.Windows = append(f.Windows, Window{first, last})
		from = last + 1
	}
	return nil
}

// place is the first row from the given one on that has a time.
func (f *File) place(label string, from int) (int, error) {
	at, err := time.Parse(time.DateTime, label) // fractions of a second are taken, too
	if err != nil {
		return 0, fmt.Errorf("a window: %w", err)
	}
	for i := from; i < len(f.Rows); i++ {
		if f.Rows[i].Time.Equal(at) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("a window begins or ends at %s: from line %d on there is no such time (windows are in order and do not overlap)", label, from+2)
}
