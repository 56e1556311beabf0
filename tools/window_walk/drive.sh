#!/usr/bin/env bash
# Presses the buttons of the add-on in a real Blender window, as a user does, and looks whether what should happen happens.
# Beside `blender --python tools/window_walk/start.py -- ADDON.zip INTERPRETER LOG`, with DISPLAY set, in a window of 1400 x 900
# at the top left: bash tools/window_walk/drive.sh LOG PICTURES. Places of buttons are those of Blender 4.3 with its own theme.
# Needs xdotool and ImageMagick's import. Ends with 0 if all went well.
set -euo pipefail
log="$1"; pictures="$2"

wait_for() {  # a pattern in the last line of the log, for at most so many tenths of a second
  for _ in $(seq 1 "$2"); do tail -1 "$log" 2>/dev/null | grep -q "$1" && return; sleep .1; done
  echo "failed: no $1 in: $(tail -1 "$log")"; import -window root "$pictures/failed.png"; exit 1
}
point() { xdotool mousemove $(($1 - 8)) $(($2 - 8)); sleep .4; xdotool mousemove "$1" "$2"; sleep .4; }
press() { point "$1" "$2"; xdotool click 1; sleep .8; }
picture() { sleep 1; import -window root "$pictures/$1.png"; echo "picture: $1"; }
fill() { point "$1" "$2"; xdotool click --repeat 2 --delay 60 1; sleep .8; xdotool key ctrl+a; xdotool type "$3"; sleep .5; xdotool key Return; sleep .8; }

wait_for '"event": "state"' 600
press 1142 225                                     # the tab
picture panel
press 1035 279; xdotool type hello; sleep 1; xdotool key Return; sleep 1
fill 1048 325 1000                                 # steps
press 1008 401                                     # Generate
wait_for '"step": [1-9]' 1800
picture progress
point 400 400
begin=$(date +%s%N); xdotool key Escape
wait_for '"running": null' 50
echo "cancelled after at most $((($(date +%s%N) - begin) / 1000000)) ms, as seen from here"
wait_for '"armatures": \[\], "actions": \[\], "all_actions": \[\]' 20
picture cancelled
fill 1048 403 8
press 1008 478
wait_for 'is signed by' 1800
point 400 400
picture result
xdotool key ctrl+z; wait_for '"armatures": \[\]' 50; echo "undone in one step"
xdotool key ctrl+shift+z; wait_for '"actions": \["hello"\]' 50; echo "done again in one step"
xdotool key space; wait_for '"frame": [2-9]' 100; picture played; xdotool key space; sleep 1
press 1008 530                                     # Generate again, with a result there
wait_for '"running": "Generate' 100
point 400 400
xdotool key ctrl+q; sleep 3
import -window root "$pictures/quit.png"
xdotool mousemove 610 480; sleep .5; press 605 487 # "Don't save"
sleep 2
if cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\0" " " | grep -q "[p]ose_diffusion.worker"; then echo "failed: the worker goes on without Blender"; exit 1; fi
echo "all well"
