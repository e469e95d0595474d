//! Lets the calls that the simulated machine stands in for be found by name, too.

fn main() {
    println!("cargo::rustc-link-arg=-rdynamic");
}
