//! What the example applications share: a client of their sidecar and a teller of the story.
