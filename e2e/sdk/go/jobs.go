package main

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"github.com/dapr/go-sdk/client"
	"github.com/dapr/go-sdk/service/common"
	daprd "github.com/dapr/go-sdk/service/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

func bytes(text string) *anypb.Any {
	return &anypb.Any{TypeUrl: "type.googleapis.com/bytes", Value: []byte(text)}
}

// jobs schedules, reads and deletes them, and takes them over gRPC: the SDK's
// HTTP service has no jobs.
func jobs(ctx context.Context, dapr client.Client) result {
	service := must(daprd.NewService("127.0.0.1:" + os.Getenv("APP_PORT")))
	runs := make(chan string, 8)
	var attempts atomic.Int32
	check(service.AddJobEventHandler("report", func(_ context.Context, event *common.JobEvent) error {
		runs <- string(event.Data)
		if attempts.Add(1) == 1 {
			return errors.New("the first run fails")
		}
		return nil
	}))
	go func() { check(service.Start()) }()
	check(dapr.ScheduleJob(ctx, client.NewJob("report", client.WithJobSchedule("@every 1s"),
		client.WithJobRepeats(2), client.WithJobData(bytes("to ops")))))
	check(dapr.ScheduleJob(ctx, client.NewJob("later", client.WithJobDueTime("1h"),
		client.WithJobData(bytes("never")), client.WithJobConstantFailurePolicyMaxRetries(5),
		client.WithJobConstantFailurePolicyInterval(2*time.Second))))
	again := "accepted"
	if err := dapr.ScheduleJob(ctx, client.NewJob("later", client.WithJobDueTime("2h"))); err != nil {
		again = status.Code(err).String()
	}
	if again == "AlreadyExists" {
		again = "ALREADY_EXISTS"
	}
	found := must(dapr.GetJob(ctx, "later"))
	check(dapr.DeleteJob(ctx, "later"))
	_, err := dapr.GetJob(ctx, "later")
	seen := []string{}
	for range 3 {
		select {
		case run := <-runs:
			seen = append(seen, run)
		case <-ctx.Done():
			check(ctx.Err())
		}
	}
	retries := *found.FailurePolicy.(*client.JobFailurePolicyConstant).MaxRetries
	return result{"runs": seen, "again": again, "gone": err != nil, "found": result{
		"name": found.Name, "dueTime": *found.DueTime, "data": string(found.Data.Value),
		"retries": retries,
	}}
}
