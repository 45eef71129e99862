package main

import (
	_ "embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"time"
)

// The manual is read from the source itself, so that it cannot drift from it.
//
//go:embed config.go
var configSource string

// A fieldDoc is one struct field of config.go as written there.
type fieldDoc struct {
	name    string // Go name
	typ     string // name of its struct type, when it is one of ours
	list    bool   // a list of typ
	tag     reflect.StructTag
	comment []string // lines, without the slashes
}

// configDocs lists the fields of every struct in config.go, by struct name.
func configDocs() (map[string][]fieldDoc, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", configSource, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("parse config.go: %w", err)
	}
	docs := map[string][]fieldDoc{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		st, ok := spec.Type.(*ast.StructType)
		if !ok {
			return true
		}
		for _, f := range st.Fields.List {
			d := fieldDoc{name: f.Names[0].Name}
			if f.Tag != nil {
				d.tag = reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
			}
			if f.Doc != nil {
				d.comment = strings.Split(strings.TrimSpace(f.Doc.Text()), "\n")
			}
			switch t := f.Type.(type) {
			case *ast.Ident:
				d.typ = t.Name
			case *ast.ArrayType:
				if id, ok := t.Elt.(*ast.Ident); ok {
					d.typ, d.list = id.Name, true
				}
			}
			docs[spec.Name.Name] = append(docs[spec.Name.Name], d)
		}
		return true
	})
	return docs, nil
}

// configExample is a greffier.yaml with every key, its meaning, and its default commented out.
func configExample() (string, error) {
	docs, err := configDocs()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("# greffier.yaml: every key with its default. An unknown key is an error.\n")
	writeExample(&b, docs, "Config", "", false)
	return b.String(), nil
}

func writeExample(b *strings.Builder, docs map[string][]fieldDoc, typ, indent string, item bool) {
	for i, f := range docs[typ] {
		key := f.tag.Get("yaml")
		lead := indent
		if item {
			lead = indent + "  "
		}
		_, nested := docs[f.typ]
		b.WriteString("\n")
		for _, line := range f.comment {
			fmt.Fprintf(b, "%s# %s\n", lead, line)
		}
		switch {
		case nested && f.list:
			fmt.Fprintf(b, "%s#%s:\n", lead, key)
			writeExample(b, docs, f.typ, lead+"#  ", true)
		case nested:
			fmt.Fprintf(b, "%s%s:\n", lead, key)
			writeExample(b, docs, f.typ, lead+"  ", false)
		case item && i == 0:
			fmt.Fprintf(b, "%s- %s:\n", indent, key)
		case item:
			fmt.Fprintf(b, "%s  %s:\n", indent, key)
		default:
			fmt.Fprintf(b, "%s#%s: %s\n", lead, key, exampleValue(f))
		}
	}
}

func exampleValue(f fieldDoc) string {
	v := f.tag.Get("default")
	if f.list {
		return "[" + strings.ReplaceAll(v, ",", ", ") + "]"
	}
	return v
}

// flagHelp gives the first sentence of each field's comment, by flag name.
func flagHelp() (map[string]string, error) {
	docs, err := configDocs()
	if err != nil {
		return nil, err
	}
	help := map[string]string{}
	var walk func(typ, prefix string)
	walk = func(typ, prefix string) {
		for _, f := range docs[typ] {
			name := prefix + strings.ReplaceAll(f.tag.Get("yaml"), "_", "-")
			if _, nested := docs[f.typ]; nested {
				if !f.list {
					walk(f.typ, name+"-")
				}
				continue
			}
			text := strings.Join(f.comment, " ")
			if i := strings.Index(text, ". "); i >= 0 {
				text = text[:i+1]
			}
			help[name] = text
		}
	}
	walk("Config", "")
	return help, nil
}

// settings lists every scalar setting of a config as "sip.max_sessions" and its value, in the order of the struct.
func settings(c Config) [][2]string {
	var out [][2]string
	var walk func(v reflect.Value, prefix string)
	walk = func(v reflect.Value, prefix string) {
		for i := range v.NumField() {
			key := prefix + v.Type().Field(i).Tag.Get("yaml")
			f := v.Field(i)
			if _, isDuration := f.Interface().(time.Duration); f.Kind() == reflect.Struct && !isDuration {
				walk(f, key+".")
				continue
			}
			out = append(out, [2]string{key, fmt.Sprint(f.Interface())})
		}
	}
	walk(reflect.ValueOf(c), "")
	return out
}
