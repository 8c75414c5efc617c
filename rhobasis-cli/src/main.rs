fn main() {
    std::process::exit(rhobasis_cli::run(std::env::args_os()));
}
