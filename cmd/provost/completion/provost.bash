# Completion of provost for bash: source <(provost completion bash)
_provost() {
    local line candidates=()
    while IFS= read -r line; do
        if [[ $line == :files* ]]; then
            compopt -o default
            COMPREPLY=()
            return
        fi
        candidates+=("$(printf '%q' "${line%%$'\t'*}")")
    done < <("$1" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    COMPREPLY=("${candidates[@]}")
}
complete -F _provost provost
