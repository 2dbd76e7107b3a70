//! One suite per building block, cases picked by declared features.
