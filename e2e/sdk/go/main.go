// A user of the Go SDK, over gRPC.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"sort"
	"time"

	"github.com/dapr/go-sdk/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const store = "statestore"

type result map[string]any

func main() {
	subjects := map[string]func(context.Context, client.Client) result{
		"state": state, "secrets": secrets, "metadata": metadata, "invoke": invoke,
		"host": host, "host-stream": hostStream, "actors": actors, "actors-later": actorsLater,
		"actors-idle": actorsIdle, "actors-reentrant": actorsReentrant, "jobs": jobs,
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dapr, err := client.NewClient()
	check(err)
	defer dapr.Close()
	line, err := json.Marshal(subjects[os.Args[1]](ctx, dapr))
	check(err)
	fmt.Println(string(line))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func text(value []byte) any {
	if len(value) == 0 {
		return nil
	}
	return string(value)
}

func get(ctx context.Context, dapr client.Client, key string) any {
	return text(must(dapr.GetState(ctx, store, key, nil)).Value)
}

func state(ctx context.Context, dapr client.Client) result {
	check(dapr.SaveState(ctx, store, "key", []byte("one"), nil))
	first := must(dapr.GetState(ctx, store, "key", nil))
	check(dapr.SaveStateWithETag(ctx, store, "key", []byte("two"), first.Etag, nil))
	stale := "accepted"
	if err := dapr.SaveStateWithETag(ctx, store, "key", []byte("three"), first.Etag, nil); err != nil {
		stale = err.Error()
		if status.Code(err) == codes.Aborted {
			stale = "ABORTED"
		}
	}
	fresh := get(ctx, dapr, "key")
	check(dapr.SaveBulkState(ctx, store,
		&client.SetStateItem{Key: "a", Value: []byte("1")},
		&client.SetStateItem{Key: "b", Value: []byte("2")}))
	bulk := map[string]any{}
	for _, item := range must(dapr.GetBulkState(ctx, store, []string{"a", "b", "none"}, nil, 2)) {
		bulk[item.Key] = text(item.Value)
	}
	check(dapr.ExecuteStateTransaction(ctx, store, nil, []*client.StateOperation{
		{Type: client.StateOperationTypeUpsert, Item: &client.SetStateItem{Key: "c", Value: []byte("3")}},
		{Type: client.StateOperationTypeDelete, Item: &client.SetStateItem{Key: "a"}},
	}))
	after := []any{get(ctx, dapr, "c"), get(ctx, dapr, "a")}
	check(dapr.DeleteState(ctx, store, "key", nil))
	return result{
		"first": text(first.Value), "stale": stale, "fresh": fresh, "bulk": bulk,
		"after": after, "deleted": get(ctx, dapr, "key"),
	}
}

func secrets(ctx context.Context, dapr client.Client) result {
	one := must(dapr.GetSecret(ctx, "vault", "db-password", nil))
	names := []string{}
	for name := range must(dapr.GetBulkSecret(ctx, "vault", nil)) {
		names = append(names, name)
	}
	sort.Strings(names)
	return result{"one": one, "names": names}
}

func metadata(ctx context.Context, dapr client.Client) result {
	check(dapr.SetMetadata(ctx, "owner", "team a"))
	found := must(dapr.GetMetadata(ctx))
	names := []string{}
	for _, component := range found.RegisteredComponents {
		names = append(names, component.Name)
	}
	sort.Strings(names)
	return result{"id": found.ID, "owner": found.ExtendedMetadata["owner"], "components": names}
}

func invoke(ctx context.Context, dapr client.Client) result {
	content := &client.DataContent{Data: []byte("world"), ContentType: "text/plain"}
	reply := must(dapr.InvokeMethodWithContent(ctx, os.Getenv("CALLEE"), "greet", "post", content))
	return result{"reply": string(reply)}
}
