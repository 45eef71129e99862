package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/greffier/greffier/policy"
	"github.com/greffier/greffier/siprec"
)

// nationalDigits is how long a number is at least that may be a national one: shorter ones are extensions and service codes, which are the
// same in every country.
const nationalDigits = 7

// An objector is somebody as a command names them, and where it does.
type objector struct {
	address string
	where   string // "line 3", "argument 2": what is wrong is told of without naming anybody
}

// objectors are those whom a command is about.
type objectors struct {
	located
	Addresses []string `arg:"" optional:"" name:"number" help:"Numbers, as +33140000001, or addresses of record, as user@example.com."`
	File      string   `placeholder:"FILE" help:"Also those in this file, one a line; what follows # is passed over. - is standard input."`
}

// read lists them, and gives the country that national numbers are of. It finds everything that is wrong before anything is done.
func (o objectors) read() (list []objector, country string, err error) {
	if list, err = o.named(); err != nil {
		return nil, "", err
	}
	c, err := o.config()
	if err != nil {
		return nil, "", err
	}
	if c.Policy != "" {
		p, err := loadPolicy(c.Policy, noKey)
		if err != nil {
			return nil, "", fmt.Errorf("read the country of national numbers: %w", err)
		}
		country = p.Country()
	}
	var problems []error
	for _, x := range list {
		if err := x.check(c.Policy != ""); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", x.where, err))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, "", fmt.Errorf("nothing was done: %w", err)
	}
	return list, country, nil
}

// named lists those whom the command line names, and those in the file.
func (o objectors) named() (list []objector, err error) {
	for i, address := range o.Addresses {
		list = append(list, objector{strings.TrimSpace(address), fmt.Sprintf("argument %d", i+1)})
	}
	if o.File != "" {
		content, err := readInput(o.File)
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(bytes.NewReader(content))
		for n := 1; lines.Scan(); n++ {
			address, _, _ := strings.Cut(lines.Text(), "#")
			if address = strings.TrimSpace(address); address != "" {
				list = append(list, objector{address, fmt.Sprintf("line %d", n)})
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("read %s: %w", o.File, err)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("nobody is named: give numbers or addresses of record, or a --file of them")
	}
	return list, nil
}

// check tells what is wrong with an address. Without a known country a national number would be a stranger's entry that matches no call.
func (x objector) check(countryKnown bool) error {
	a := policy.ParseAddress(x.address)
	switch {
	case siprec.Number(x.address) == "" && (a.User == "" || a.Host == ""):
		return errors.New("neither a number nor an address of record; write it as +33140000001 or user@example.com")
	case !countryKnown && len(a.Number) >= nationalDigits && a.Number[0] >= '0' && a.Number[0] <= '9':
		return errors.New("a national number, and this configuration names no policy that says of which country; write it with its +, or name the server's configuration with -c")
	}
	return nil
}
