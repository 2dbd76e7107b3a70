package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/dapr/go-sdk/actor"
	"github.com/dapr/go-sdk/actor/runtime"
	"github.com/dapr/go-sdk/client"
	daprd "github.com/dapr/go-sdk/service/http"
)

// Seen is what a Counter has seen so far.
type Seen struct {
	Total    int
	Wakes    int
	Timer    string
	Reminder string
}

// Counter is an actor type; the SDK hosts only exported ones.
type Counter struct {
	actor.ServerImplBaseCtx
	dapr client.Client
}

func (c *Counter) Type() string { return "Counter" }

func (c *Counter) read(ctx context.Context) (Seen, error) {
	var seen Seen
	found, err := c.GetStateManager().Contains(ctx, "seen")
	if err == nil && found {
		err = c.GetStateManager().Get(ctx, "seen", &seen)
	}
	return seen, err
}

// change saves at once, because the SDK does so only after methods with a result.
func (c *Counter) change(ctx context.Context, change func(*Seen)) (Seen, error) {
	seen, err := c.read(ctx)
	if err != nil {
		return seen, err
	}
	change(&seen)
	if err := c.GetStateManager().Set(ctx, "seen", seen); err != nil {
		return seen, err
	}
	return seen, c.SaveState(ctx)
}

func (c *Counter) Add(ctx context.Context, number int) (int, error) {
	seen, err := c.change(ctx, func(seen *Seen) { seen.Total += number })
	return seen.Total, err
}

// AddByItself calls its own actor, which only reentrancy lets through.
func (c *Counter) AddByItself(ctx context.Context, number int) (int, error) {
	return counter(c.dapr).Add(ctx, number)
}

func (c *Counter) Fail(context.Context) (int, error) {
	return 0, errors.New("it always fails")
}

func (c *Counter) Start(ctx context.Context) error {
	err := c.dapr.RegisterActorTimer(ctx, &client.RegisterActorTimerRequest{
		ActorType: c.Type(), ActorID: c.ID(), Name: "tick", CallBack: "OnTick",
		DueTime: "1s", Period: "1s", Data: []byte(`"from the timer"`),
	})
	if err != nil {
		return err
	}
	return c.dapr.RegisterActorReminder(ctx, &client.RegisterActorReminderRequest{
		ActorType: c.Type(), ActorID: c.ID(), Name: "wake",
		DueTime: "1s", Period: "1s", Data: []byte("from the reminder"),
	})
}

func (c *Counter) Stop(ctx context.Context) error {
	err := c.dapr.UnregisterActorTimer(ctx, &client.UnregisterActorTimerRequest{
		ActorType: c.Type(), ActorID: c.ID(), Name: "tick",
	})
	if err != nil {
		return err
	}
	return c.dapr.UnregisterActorReminder(ctx, &client.UnregisterActorReminderRequest{
		ActorType: c.Type(), ActorID: c.ID(), Name: "wake",
	})
}

func (c *Counter) OnTick(ctx context.Context, data string) error {
	_, err := c.change(ctx, func(seen *Seen) { seen.Timer = data })
	return err
}

func (c *Counter) ReminderCall(_ string, data []byte, _ string, _ string) {
	must(c.change(context.Background(), func(seen *Seen) {
		seen.Reminder = string(data)
		seen.Wakes++
	}))
}

func (c *Counter) Seen(ctx context.Context) (Seen, error) { return c.read(ctx) }

func factory(dapr client.Client) actor.FactoryContext {
	return func() actor.ServerContext { return &Counter{dapr: dapr} }
}

// host serves actors over HTTP until it is killed.
func host(_ context.Context, dapr client.Client) result {
	service := daprd.NewService("127.0.0.1:" + os.Getenv("APP_PORT"))
	service.RegisterActorImplFactoryContext(factory(dapr))
	check(service.Start())
	return nil
}

// hostStream serves actors over the callback stream until it is killed.
func hostStream(_ context.Context, dapr client.Client) result {
	types := runtime.NewActorRuntimeContext()
	types.RegisterActorFactory(factory(dapr))
	must(dapr.(*client.GRPCClient).SubscribeActorEvents(
		context.Background(), types, client.ActorEventSubscriptionOptions{
			ActorIdleTimeout: 2 * time.Second,
			Reentrancy:       &client.ActorReentrancyConfig{Enabled: true},
		}))
	fmt.Println("hosting")
	select {}
}

// proxy is filled with calls by the SDK.
type proxy struct {
	Add         func(context.Context, int) (int, error)
	AddByItself func(context.Context, int) (int, error)
	Fail        func(context.Context) (int, error)
	Start       func(context.Context) error
	Stop        func(context.Context) error
	Seen        func(context.Context) (*Seen, error)
}

func (*proxy) Type() string { return "Counter" }
func (*proxy) ID() string   { return "7" }

func counter(dapr client.Client) *proxy {
	stub := new(proxy)
	dapr.ImplActorClientStub(stub)
	return stub
}

func (p *proxy) until(ctx context.Context, done func(*Seen) bool) *Seen {
	for {
		seen := must(p.Seen(ctx))
		if done(seen) {
			return seen
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func actors(ctx context.Context, dapr client.Client) result {
	stub := counter(dapr)
	totals := []int{must(stub.Add(ctx, 5)), must(stub.Add(ctx, 2))}
	_, err := stub.Fail(ctx)
	failed := err != nil && strings.Contains(err.Error(), "error invoke actor method")
	check(stub.Start(ctx))
	seen := stub.until(ctx, func(seen *Seen) bool { return seen.Timer != "" && seen.Reminder != "" })
	return result{"totals": totals, "failed": failed, "timer": seen.Timer, "reminder": seen.Reminder}
}

func actorsLater(ctx context.Context, dapr client.Client) result {
	stub := counter(dapr)
	before := must(stub.Seen(ctx))
	stub.until(ctx, func(seen *Seen) bool { return seen.Wakes > before.Wakes })
	check(stub.Stop(ctx))
	return result{"total": before.Total, "reminded": true}
}

func actorsIdle(ctx context.Context, dapr client.Client) result {
	return result{"total": must(counter(dapr).Add(ctx, 1))}
}

func actorsReentrant(ctx context.Context, dapr client.Client) result {
	return result{"total": must(counter(dapr).AddByItself(ctx, 3))}
}
