# Completion of provost for fish: provost completion fish | source
function __provost_complete
    set -l words (commandline -opc)
    set -l found ($words[1] __complete -- $words[2..-1] (commandline -ct) 2>/dev/null)
    if string match -q ':files*' -- $found[1]
        __fish_complete_path (commandline -ct)
    else
        printf '%s\n' $found
    end
end
complete -c provost -f -a '(__provost_complete)'
