"How long each lesson runs here, one after the other: python benchmarks/lessons.py -> data/results/lessons.json"
import subprocess, sys, time
from pathlib import Path
from vggsr_nb.core import progress, save_result

root = Path(__file__).parent.parent
seconds = {}
for nb in progress(sorted(root.glob('nbs/[0-9]*.ipynb')), 'lessons'):
    start = time.perf_counter()
    subprocess.run([Path(sys.executable).parent/'nbdev_test', '--path', nb], cwd=root, check=True, capture_output=True)
    seconds[nb.stem] = round(time.perf_counter()-start)
print(seconds, sum(seconds.values()))
save_result('lessons', seconds, command='python benchmarks/lessons.py')
