//! Name resolution by a Consul agent.
