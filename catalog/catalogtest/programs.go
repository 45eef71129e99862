package catalogtest

import (
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// findPrograms gives the directory of PostgreSQL's programs: the newest of those that Debian installs, or where the PATH leads.
func findPrograms() (string, error) {
	all, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	if len(all) > 0 {
		newest := slices.MaxFunc(all, func(a, b string) int { return version(a) - version(b) })
		return filepath.Dir(newest), nil
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return "", errors.New("the tests need PostgreSQL: run make tools, or install the package postgresql (no server of its own has to run)")
	}
	return filepath.Dir(path), nil
}

// version reads the version of /usr/lib/postgresql/VERSION/bin/postgres.
func version(path string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	if err != nil {
		return 0
	}
	return n
}
