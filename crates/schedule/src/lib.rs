//! When things fire: cron expressions, periods, due times, lifetimes and repeats.
