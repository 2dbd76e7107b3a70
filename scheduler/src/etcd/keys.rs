//! Where things lie in etcd, and ranges of keys.

use bytes::Bytes;

/// Jobs, by their whole names.
pub const JOBS: &str = "dapr/jobs/";
/// The counters of jobs, by the same names.
pub const COUNTERS: &str = "dapr/counters/";
/// The schedulers that share the jobs, by their ids.
pub const LEADERSHIP: &str = "dapr/leadership/";

/// An end that is no bound: everything from the first key on.
pub const NO_END: &[u8] = b"\0";

/// The end of the range of all keys that begin with `prefix`.
pub fn end_of(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    // The last byte that can grow does; those behind it no longer matter.
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end.into();
        }
    }
    Bytes::from_static(NO_END)
}

/// The key that follows `key` at once.
pub fn after(key: &[u8]) -> Bytes {
    [key, &[0]].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_text_of_its_length_or_shorter() {
        let cases: &[(&[u8], &[u8])] = &[
            (b"dapr/", b"dapr0"),
            (b"a\xff", b"b"),
            (b"a\xff\xff", b"b"),
            (b"\xff", NO_END),
            (b"", NO_END),
        ];
        for (prefix, end) in cases {
            assert_eq!(end_of(prefix), *end, "{prefix:?}");
        }
    }

    #[test]
    fn nothing_lies_between_a_key_and_the_one_after_it() {
        assert_eq!(after(b"a"), b"a\0".as_slice());
    }
}
