#compdef provost
# Completion of provost for zsh: provost completion zsh > "${fpath[1]}/_provost", or
# source <(provost completion zsh)
_provost() {
    local line
    local -a candidates
    while IFS= read -r line; do
        if [[ $line == :files* ]]; then
            _files
            return
        fi
        candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done < <("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
    _describe provost candidates
}
if [ "$funcstack[1]" = "_provost" ]; then
    _provost
else
    compdef _provost provost
fi
