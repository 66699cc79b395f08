package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
)

const (
	cacheEnv  = "CTXSCAFFOLD_CACHE"
	assetsEnv = "KUBEBUILDER_ASSETS" // the variable of envtest and setup-envtest
)

// assets is a folder of binaries. Only in the cache can some be missing.
type assets struct {
	dir     string
	missing []component
}

// path returns the file of a component.
func (a assets) path(c component) string { return filepath.Join(a.dir, c.name) }

// findAssets returns the folder to take the needed components from:
// KUBEBUILDER_ASSETS if it holds all of them, else the cache.
func findAssets(needed []component) (assets, error) {
	if given := os.Getenv(assetsEnv); given != "" {
		found, err := givenAssets(given, needed)
		if err != nil || len(found.missing) == 0 {
			return found, err
		}
		fmt.Fprintf(os.Stderr, "controlplane: %s=%s has no %s; using the cache\n", assetsEnv, given, namesOf(found.missing))
	}
	return cachedAssets(needed)
}

func givenAssets(dir string, needed []component) (assets, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return assets{}, err
	}
	found := assets{dir: dir}
	for _, c := range needed {
		if _, err := exec.LookPath(found.path(c)); err != nil {
			found.missing = append(found.missing, c)
		}
	}
	return found, nil
}

func cachedAssets(needed []component) (assets, error) {
	pins, err := readPins()
	if err != nil {
		return assets{}, err
	}
	cache, err := cacheDir()
	if err != nil {
		return assets{}, err
	}
	name := fmt.Sprintf("%s-%s-%s", pins[kubernetesModule], runtime.GOOS, runtime.GOARCH)
	found := assets{dir: filepath.Join(cache, "controlplane", name)}
	found.missing = slices.DeleteFunc(slices.Clone(needed), func(c component) bool {
		return pins.holds(found.path(c), c)
	})
	return found, nil
}

// cacheDir returns the absolute path of the project's cache.
func cacheDir() (string, error) {
	if dir := os.Getenv(cacheEnv); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", failure(err, "set "+cacheEnv+" to a folder that can be written")
	}
	return filepath.Join(dir, "ctxscaffold"), nil
}

// assetsCommand prints the folder with the components named in args.
func assetsCommand(args []string) error {
	flags := newFlagSet("assets", "assets [COMPONENT ...]")
	if err := parseFlags(flags, args); err != nil {
		return err
	}
	needed, err := componentsNamed(flags.Args())
	if err != nil {
		return err
	}
	found, err := findAssets(needed)
	if err != nil {
		return err
	}
	if len(found.missing) > 0 {
		return failure(fmt.Errorf("%s is not built yet", namesOf(found.missing)), "run controlplane build")
	}
	fmt.Println(found.dir)
	return nil
}
