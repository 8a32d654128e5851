package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is a certificate in files that are read again when they change.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex
	loaded  *tls.Certificate
	stamp   [2]fileStamp
	checked time.Time
}

type fileStamp struct {
	modified time.Time
	size     int64
}

// recheck is how often a handshake looks at the files.
const recheck = time.Second

// reloadingTLS returns the TLS configuration of a server, or nil without files.
func reloadingTLS(cert, key string, log *slog.Logger) (*tls.Config, error) {
	if cert == "" {
		return nil, nil
	}
	c := &certificate{cert: cert, key: key, log: log}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("read the TLS certificate: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"h2", "http/1.1"}}, nil
}

// get returns the present certificate. Files that cannot be read, because they are
// half replaced, leave the old one in use.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.checked) >= recheck {
		c.checked = now
		if stamp, err := c.stamps(); err != nil || stamp != c.stamp {
			if err == nil {
				err = c.load()
			}
			if err != nil {
				c.log.Warn("the TLS certificate could not be read again; the old one stays in use", "error", err)
			} else {
				c.log.Info("the TLS certificate was read again", "file", c.cert)
			}
		}
	}
	return c.loaded, nil
}

func (c *certificate) load() error {
	stamp, err := c.stamps()
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return err
	}
	c.loaded, c.stamp = &pair, stamp
	return nil
}

func (c *certificate) stamps() (stamps [2]fileStamp, err error) {
	for i, path := range []string{c.cert, c.key} {
		info, err := os.Stat(path)
		if err != nil {
			return stamps, err
		}
		stamps[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return stamps, nil
}
