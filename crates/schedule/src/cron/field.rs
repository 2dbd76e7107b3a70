//! One field of a cron expression, as the set of its values.

use super::Error;

/// Values from 0 to 63.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Set(u64);

impl Set {
    pub(super) fn has(self, value: i8) -> bool {
        self.at_least(value) == Some(value)
    }

    /// The smallest value that is `value` or more.
    pub(super) fn at_least(self, value: i8) -> Option<i8> {
        let bits = self.0 & u64::MAX.checked_shl(value.try_into().ok()?)?;
        (bits != 0).then(|| bits.trailing_zeros() as i8)
    }

    pub(super) fn first(self) -> Option<i8> {
        self.at_least(0)
    }
}

/// What a field takes.
pub(super) struct Field {
    min: u64,
    max: u64,
    /// Other words for the values from `min` on.
    names: &'static [&'static str],
}

impl Field {
    const fn new(min: u64, max: u64, names: &'static [&'static str]) -> Self {
        Self { min, max, names }
    }

    pub(super) const SECONDS: Self = Self::new(0, 59, &[]);
    pub(super) const MINUTES: Self = Self::new(0, 59, &[]);
    pub(super) const HOURS: Self = Self::new(0, 23, &[]);
    pub(super) const DAYS: Self = Self::new(1, 31, &[]);
    pub(super) const MONTHS: Self = Self::new(
        1,
        12,
        &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    );
    pub(super) const WEEKDAYS: Self =
        Self::new(0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]);

    /// Reads a list of ranges; and whether one of them is a star (`*`, `?`), which
    /// leaves the field to others. Commas may stand alone.
    pub(super) fn parse(&self, text: &str) -> Result<(Set, bool), Error> {
        let mut set = Set::default();
        let mut any_star = false;
        for range in text.split(',').filter(|range| !range.is_empty()) {
            let (values, star) = self.range(range)?;
            set.0 |= values.0;
            any_star |= star;
        }
        Ok((set, any_star))
    }

    /// `*`, `5`, `5-10`, and any of them with `/step`. As upstream does it reads
    /// `5/10` up to the maximum, does not look at what follows `*-`, and no longer
    /// takes a star with a step for one.
    fn range(&self, text: &str) -> Result<(Set, bool), Error> {
        let mut parts = text.split('/');
        let (range, step) = (parts.next().unwrap_or_default(), parts.next());
        let mut ends = range.split('-');
        let (low, high) = (ends.next().unwrap_or_default(), ends.next());

        let mut star = matches!(low, "*" | "?");
        let (first, mut last) = if star {
            (self.min, self.max)
        } else {
            let first = self.value(low)?;
            let last = high.map_or(Ok(first), |high| self.value(high))?;
            if ends.next().is_some() {
                return Err(Error::Hyphens(text.to_owned()));
            }
            (first, last)
        };
        let mut stride = 1;
        if let Some(step) = step {
            stride = number(step)?;
            if high.is_none() {
                last = self.max;
            }
            star &= stride <= 1;
        }
        if parts.next().is_some() {
            return Err(Error::Slashes(text.to_owned()));
        }
        self.check(first, last, stride, text)?;
        let step = usize::try_from(stride).unwrap_or(usize::MAX);
        let values = (first..=last).step_by(step);
        Ok((Set(values.fold(0, |set, value| set | 1 << value)), star))
    }

    fn check(&self, first: u64, last: u64, step: u64, text: &str) -> Result<(), Error> {
        let range = || text.to_owned();
        let (min, max) = (self.min, self.max);
        if first < min {
            let range = range();
            return Err(Error::BelowMinimum { first, min, range });
        }
        if last > max {
            let range = range();
            return Err(Error::AboveMaximum { last, max, range });
        }
        if first > last {
            let range = range();
            return Err(Error::Backwards { first, last, range });
        }
        if step == 0 {
            return Err(Error::ZeroStep(range()));
        }
        Ok(())
    }

    fn value(&self, text: &str) -> Result<u64, Error> {
        let mut names = self.names.iter();
        match names.position(|name| name.eq_ignore_ascii_case(text)) {
            Some(at) => Ok(self.min + at as u64),
            None => number(text),
        }
    }
}

/// A number as Go reads one: it may have a sign.
fn number(text: &str) -> Result<u64, Error> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let text = text.to_owned();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Error::NotANumber(text));
    }
    match text.parse::<i64>() {
        Ok(number) => u64::try_from(number).map_err(|_| Error::Negative(number, text)),
        Err(_) => Err(Error::OutOfRange(text)),
    }
}
