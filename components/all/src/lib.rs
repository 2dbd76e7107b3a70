//! Every component that this build links, in one explicit list: a crate that
//! nobody names is not linked, and its components would silently be missing.

use component::Registry;

/// Adds everything. An entry costs two pointers; nothing is opened.
pub fn register(registry: &mut Registry) {
    builtin::register(registry);
    #[cfg(feature = "consul")]
    consul::register(registry);
    #[cfg(feature = "postgres")]
    postgres::register(registry);
    #[cfg(feature = "redis")]
    redis_components::register(registry);
    #[cfg(feature = "sqlite")]
    sqlite::register(registry);
    #[cfg(feature = "vault")]
    vault::register(registry);
}
