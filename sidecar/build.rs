//! Says how the program is linked.

fn main() {
    link::startup();
}
