// Command replay_go counts what a policy would have recorded of an audit log, by encoding/json and the API server's own
// evaluator. It is what `audit-operator replay` is measured against, and must count the same.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"sync"

	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/audit/policy"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apimachinery/pkg/util/sets"
)

const batchLines = 2048

type counts struct {
	Events   int            `json:"events"`
	Recorded int            `json:"recorded"`
	Levels   map[string]int `json:"levels"`
}

func main() {
	loaded, err := policy.LoadPolicyFromFile(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	evaluator := policy.NewPolicyRuleEvaluator(loaded)
	workers := runtime.GOMAXPROCS(0)
	batches := make(chan [][]byte, 2*workers)
	results := make(chan counts, workers)
	var running sync.WaitGroup
	for range workers {
		running.Add(1)
		go func() {
			defer running.Done()
			results <- work(evaluator, batches)
		}()
	}
	for _, name := range os.Args[2:] {
		if err := read(name, batches); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	close(batches)
	running.Wait()
	close(results)
	total := counts{Levels: map[string]int{}}
	for each := range results {
		total.Events += each.Events
		total.Recorded += each.Recorded
		for level, number := range each.Levels {
			total.Levels[level] += number
		}
	}
	_ = json.NewEncoder(os.Stdout).Encode(total)
}

func read(name string, batches chan<- [][]byte) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	reader := bufio.NewReaderSize(file, 1<<20)
	batch := make([][]byte, 0, batchLines)
	for {
		line, err := reader.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			batch = append(batch, line)
		}
		if len(batch) == batchLines || err != nil && len(batch) > 0 {
			batches <- batch
			batch = make([][]byte, 0, batchLines)
		}
		if err != nil {
			return nil
		}
	}
}

func work(evaluator audit.PolicyRuleEvaluator, batches <-chan [][]byte) counts {
	found := counts{Levels: map[string]int{}}
	infos := &request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}
	for batch := range batches {
		for _, line := range batch {
			var event auditv1.Event
			if json.Unmarshal(line, &event) != nil {
				continue
			}
			found.Events++
			attributes, err := attributesOf(infos, &event)
			if err != nil {
				continue
			}
			config := evaluator.EvaluatePolicyRule(attributes)
			if config.Level == auditinternal.LevelNone || omitted(config, string(event.Stage)) {
				continue
			}
			found.Recorded++
			found.Levels[string(config.Level)]++
		}
	}
	return found
}

func omitted(config audit.RequestAuditConfig, stage string) bool {
	for _, each := range config.OmitStages {
		if string(each) == stage {
			return true
		}
	}
	return false
}

func attributesOf(infos *request.RequestInfoFactory, event *auditv1.Event) (authorizer.Attributes, error) {
	target, err := url.ParseRequestURI(event.RequestURI)
	if err != nil {
		return nil, err
	}
	info, err := infos.NewRequestInfo(&http.Request{Method: methodOf(event.Verb), URL: target})
	if err != nil {
		return nil, err
	}
	attributes := &authorizer.AttributesRecord{
		Verb: event.Verb, Path: info.Path, ResourceRequest: info.IsResourceRequest,
		Namespace: info.Namespace, APIGroup: info.APIGroup, APIVersion: info.APIVersion,
		Resource: info.Resource, Subresource: info.Subresource, Name: info.Name,
	}
	if event.User.Username != "" || len(event.User.Groups) > 0 || event.User.UID != "" {
		attributes.User = &user.DefaultInfo{Name: event.User.Username, UID: event.User.UID, Groups: event.User.Groups}
	}
	return attributes, nil
}

func methodOf(verb string) string {
	switch verb {
	case "create":
		return "POST"
	case "update":
		return "PUT"
	case "patch":
		return "PATCH"
	case "delete", "deletecollection":
		return "DELETE"
	}
	return "GET"
}
