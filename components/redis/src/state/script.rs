//! The scripts that write state. A refused write answers nil.

use std::sync::LazyLock;

use bytes::Bytes;
use redis::Cmd;

/// Keys: the state key. Arguments: etag (0 for none), value, 0 to guard the key, ttl or nothing.
///
/// A guarded key, which has the field `first-write`, takes a write only with its exact etag.
const SET_HASH: &str = r"
local key, etag, value, guard, ttl = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local kind = redis.call('TYPE', key).ok
if kind ~= 'hash' and kind ~= 'none' then
  redis.call('DEL', key)
end
local old = redis.call('HMGET', key, 'version', 'first-write')
local version, guarded = old[1], old[2]
if version and version ~= etag and (etag ~= '0' or guarded) then
  return false
end
redis.call('HSET', key, 'data', value)
if guard == '0' then
  redis.call('HSET', key, 'first-write', '0')
end
version = redis.call('HINCRBY', key, 'version', 1)
if ttl ~= '' then
  if tonumber(ttl) > 0 then redis.call('EXPIRE', key, ttl) else redis.call('PERSIST', key) end
end
return version
";

/// Keys: the state key. Argument: etag (0 for none).
const DELETE_HASH: &str = r"
local key, etag = KEYS[1], ARGV[1]
local version = false
if redis.call('TYPE', key).ok == 'hash' then
  version = redis.call('HGET', key, 'version')
end
if version and version ~= etag and etag ~= '0' then
  return false
end
return redis.call('DEL', key)
";

/// Like the first, for a JSON document. The value is JSON text.
const SET_JSON: &str = r#"
local key, etag, value, guard, ttl = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local function field(path)
  local found = redis.pcall('JSON.GET', key, path)
  return type(found) == 'string' and found
end
local kind = redis.call('TYPE', key).ok
local version, guarded = false, false
if kind == 'ReJSON-RL' then
  version, guarded = field('.version'), field('.first-write')
elseif kind ~= 'none' then
  redis.call('DEL', key)
end
if version and version ~= etag and (etag ~= '0' or guarded) then
  return false
end
local number = string.format('%.0f', tonumber(version or etag) + 1)
if version then
  redis.call('JSON.SET', key, '.data', value)
  redis.call('JSON.SET', key, '.version', number)
else
  redis.call('JSON.SET', key, '.', '{"data":' .. value .. ',"version":' .. number .. '}')
end
if guard == '0' then
  redis.call('JSON.SET', key, '.first-write', '0')
end
if ttl ~= '' then
  if tonumber(ttl) > 0 then redis.call('EXPIRE', key, ttl) else redis.call('PERSIST', key) end
end
return number
"#;

/// Like the second, for a JSON document.
const DELETE_JSON: &str = r"
local key, etag = KEYS[1], ARGV[1]
local version = false
if redis.call('TYPE', key).ok == 'ReJSON-RL' then
  local found = redis.pcall('JSON.GET', key, '.version')
  version = type(found) == 'string' and found
end
if version and version ~= etag and etag ~= '0' then
  return false
end
return redis.call('DEL', key)
";

pub(super) static SET: Forms = Forms {
    hash: LazyLock::new(|| Script::new(SET_HASH)),
    json: LazyLock::new(|| Script::new(SET_JSON)),
};
pub(super) static DELETE: Forms = Forms {
    hash: LazyLock::new(|| Script::new(DELETE_HASH)),
    json: LazyLock::new(|| Script::new(DELETE_JSON)),
};

/// How a value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Hash,
    Json,
}

/// One purpose, a script for each form.
pub(super) struct Forms {
    hash: LazyLock<Script>,
    json: LazyLock<Script>,
}

impl Forms {
    pub(super) fn of(&'static self, form: Form) -> &'static Script {
        match form {
            Form::Hash => &self.hash,
            Form::Json => &self.json,
        }
    }
}

pub(super) struct Script {
    text: &'static str,
    hash: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        let hash = redis::Script::new(text).get_hash().to_owned();
        Self { text, hash }
    }

    /// For a server that has run the script before; the error is `NOSCRIPT` otherwise.
    pub(super) fn by_hash(&self, key: &str, args: &[Bytes]) -> Cmd {
        invocation("EVALSHA", &self.hash, key, args)
    }

    /// Runs the script and makes the server keep it.
    pub(super) fn by_text(&self, key: &str, args: &[Bytes]) -> Cmd {
        invocation("EVAL", self.text, key, args)
    }
}

fn invocation(name: &str, script: &str, key: &str, args: &[Bytes]) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(script).arg(1).arg(key);
    for arg in args {
        command.arg(arg.as_ref());
    }
    command
}
