//! Which sidecar hosts which actors: the stream of Placement, tables and rings.
