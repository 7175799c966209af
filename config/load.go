package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds what is read as a configuration or a secret, in bytes.
const maxFile = 16 << 20

// Source is one of the files that make a configuration together.
type Source struct {
	File string
	Text []byte
	Only []string // the keys that may stand in it; none: all
}

// Load reads a YAML file into the struct that into points to. Before Check it
// calls SetDirectory with the folder of the file. The error is [Mistakes]
// unless the file itself could not be read; into is then half filled and of no
// use.
func Load(file string, into any) error {
	text, err := Read(file)
	if err != nil {
		return err
	}
	return parse([]Source{{File: file, Text: text}}, into, filepath.Dir(file))
}

// Read gives the text of a configuration file for [Parse], for those who need it
// themselves. It refuses what [Load] refuses: no more than 16 MiB are taken in.
func Read(file string) ([]byte, error) {
	text, err := read(file)
	if err != nil {
		return nil, fmt.Errorf("reading configuration: %w", err)
	}
	return text, nil
}

// Parse is [Load] of a text that comes from no file: name stands in the
// mistakes, and SetDirectory is not called.
func Parse(name string, text []byte, into any) error {
	return parse([]Source{{File: name, Text: text}}, into, "")
}

// ParseAll is [Parse] of files that make one configuration together, in their
// order. Outermost keys that hold a mapping of named things or a list of
// mappings go on from file to file; a name, or any other key, that stands in two
// files is a mistake. SetDirectory is not called: the files may lie in different
// folders, of which [Places] tells.
func ParseAll(sources []Source, into any) error {
	return parse(sources, into, "")
}

// Secret reads the secret that stands in a file, without the white space at
// its ends. An empty file is an error: a forgotten secret must not become an
// empty password.
func Secret(file string) (string, error) {
	text, err := read(file)
	if err != nil {
		return "", fmt.Errorf("reading secret: %w", err)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", fmt.Errorf("reading secret %s: the file is empty", file)
	}
	return secret, nil
}

// read gives a file that is not larger than anybody writes by hand. A device or
// a log named by mistake must not fill the memory.
func read(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d MiB", file, maxFile>>20)
	}
	return text, nil
}

// parse is the order of things: the documents, their values, the folder, and at
// last Check, which runs also after mistakes so that all come at once. Of a file
// that is no YAML nothing is known: then Check would tell of what it holds.
func parse(sources []Source, into any, dir string) error {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.IsNil() || target.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("parsing %s: want a pointer to a struct, got %T", names(sources), into)
	}
	d := newDecoder()
	if !d.sources(sources, target.Elem()) {
		return d.mistakes.sorted(d.places.files)
	}
	if s, ok := into.(interface{ SetDirectory(string) }); ok && dir != "" {
		s.SetDirectory(dir)
	}
	if s, ok := into.(interface{ SetPlaces(*Places) }); ok {
		s.SetPlaces(d.places)
	}
	if c, ok := into.(interface {
		Check(func(path, text string))
	}); ok {
		c.Check(d.checked)
	}
	return d.mistakes.sorted(d.places.files)
}

// names lists files for a message.
func names(sources []Source) string {
	var all []string
	for _, s := range sources {
		all = append(all, s.File)
	}
	return strings.Join(all, ", ")
}

// sources decodes all files, one after the other, and tells whether each was
// YAML at all.
func (d *decoder) sources(sources []Source, into reflect.Value) bool {
	whole := true
	for _, s := range sources {
		d.begin(s)
		if root, ok := d.document(s.Text); ok {
			d.value(root, into, "", root.Line)
		} else {
			whole = false
		}
	}
	return whole
}

// document gives the root of the only document; an empty text is an empty
// mapping, so that Check tells what is missing.
func (d *decoder) document(text []byte) (*yaml.Node, bool) {
	empty := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: 1}
	reader := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	switch err := reader.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return empty, true
	case err != nil:
		d.syntax(err)
		return nil, false
	}
	var second yaml.Node
	switch err := reader.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		d.syntax(err)
	default:
		d.mistake(second.Line, "", "a second document begins here; want one document a file")
	}
	if len(doc.Content) == 0 || isNull(doc.Content[0]) {
		return empty, true
	}
	return doc.Content[0], true
}

// place finds the line that the YAML library writes into its messages.
var place = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?(?:line (\d+): )?`)

// syntax keeps a message of the YAML library as a mistake at its own line.
func (d *decoder) syntax(err error) {
	text := err.Error()
	at := place.FindStringSubmatch(text)
	line, _ := strconv.Atoi(at[1])
	d.mistake(line, "", text[len(at[0]):])
}

// checked takes what Check reports. A path that could not be decoded is left
// alone: its value is not what the file says.
func (d *decoder) checked(path, text string) {
	if !d.wrong[path] {
		d.mistakes = append(d.mistakes, d.places.Mistake(path, text))
	}
}

// mistake keeps what decoding finds, and silences Check about the same path.
func (d *decoder) mistake(line int, path, text string) {
	d.mistakes = append(d.mistakes, Mistake{File: d.file, Line: line, Path: d.places.local(d.file, path), Text: Masked(text)})
	d.wrong[path] = true
}

// userInfo finds the name and password within an address. Both may hold quotes
// and even @: what counts is the last one before the path.
var userInfo = regexp.MustCompile(`(://)[^/?#\s]*@`)

// Masked hides the name and password of every address in a text that may end in
// a log or on a page: the libraries repeat an address that they cannot read.
// Check words its mistakes itself, and sees to it itself.
func Masked(text string) string { return userInfo.ReplaceAllString(text, "$1<secret>@") }
