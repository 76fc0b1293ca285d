// SPDX-License-Identifier: MIT
//
// The program examples/md5all.c in Go: the MD5 digests of all regular files under a directory, sorted by path. One goroutine walks the
// tree, as many as there are threads digest, one collects; errgroup joins them.
package main

import (
	"bufio"
	"context"
	"crypto/md5"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sort"

	"golang.org/x/sync/errgroup"
)

const (
	channelRoom = 256
	bufferSize  = 256 * 1024
)

type file struct {
	path string
	sum  [md5.Size]byte
}

func walk(ctx context.Context, root string, paths chan<- string) error {
	defer close(paths)
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		select {
		case paths <- path:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

func digest(path string, buffer []byte) (file, error) {
	result := file{path: path}
	f, err := os.Open(path)
	if err != nil {
		return result, err
	}
	defer f.Close()
	hash := md5.New()
	if _, err := io.CopyBuffer(hash, f, buffer); err != nil {
		return result, err
	}
	hash.Sum(result.sum[:0])
	return result, nil
}

func digestAll(ctx context.Context, paths <-chan string, results chan<- file) error {
	buffer := make([]byte, bufferSize)
	for path := range paths {
		result, err := digest(path, buffer)
		if err != nil {
			return err
		}
		select {
		case results <- result:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func md5All(root string) ([]file, error) {
	g, ctx := errgroup.WithContext(context.Background())
	paths, results := make(chan string, channelRoom), make(chan file, channelRoom)
	g.Go(func() error { return walk(ctx, root, paths) })
	for i := 0; i < runtime.GOMAXPROCS(0); i++ {
		g.Go(func() error { return digestAll(ctx, paths, results) })
	}
	go func() {
		g.Wait()
		close(results)
	}()
	var files []file
	for result := range results {
		files = append(files, result)
	}
	sort.Slice(files, func(i, j int) bool { return files[i].path < files[j].path })
	return files, g.Wait()
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: md5all DIR")
		os.Exit(1)
	}
	files, err := md5All(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	out := bufio.NewWriter(os.Stdout)
	for _, f := range files {
		fmt.Fprintf(out, "%x  %s\n", f.sum, f.path)
	}
	if out.Flush() != nil {
		os.Exit(1)
	}
}
