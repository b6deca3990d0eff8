"`download` and `vggsr_download` against a server on this machine: whole, resumed, refused, broken, offline."
import hashlib, os, signal, subprocess, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
import pytest
from vggsr_nb.core import UserError
from vggsr_nb.data import _published, benchmark, download, fetch, vggsr_download

BODY = hashlib.shake_256(b'vggsr').digest(300_001)
SHA = hashlib.sha256(BODY).hexdigest()
ROOT = Path(__file__).resolve().parents[1]
SHARED = next((p for p in (Path(os.environ.get('VGGSR_DATA') or '.'), ROOT.parent/'shared'/'datasets') if (p/'Set5'/'HR').is_dir()), None)
needs_data = pytest.mark.skipif(SHARED is None, reason='benchmark images not found (VGGSR_DATA)')

class Handler(BaseHTTPRequestHandler):
    "The first part of the path says how to behave."
    def do_GET(self):
        way, name = self.path.strip('/').split('/', 1)
        self.server.asked.append((way, self.headers.get('Range')))
        body = self.server.files.get(name)
        if body is None: return self.send_error(404)
        if callable(body): body = body()
        if way == 'busy' and len(self.server.asked) < 2: return self.send_error(503)
        start = int((self.headers.get('Range') or 'bytes=0-')[6:-1]) if way != 'plain' else 0
        if start >= len(body) > 0: return self.send_error(416)
        self.send_response(206 if start else 200)
        if way != 'nolength': self.send_header('Content-Length', str(len(body)-start))
        if start: self.send_header('Content-Range', f'bytes {start+(way == "other")}-{len(body)-1}/{len(body)}')
        self.end_headers()
        rest = body[start:]
        if way == 'cut': rest = rest[:len(rest)//2]
        if way == 'reset': rest = rest[:1000]
        for i in range(0, len(rest), 20_000):
            self.wfile.write(rest[i:i+20_000]); self.wfile.flush()
            if way == 'slow': time.sleep(.1)
        if way == 'hang': time.sleep(2)
    def log_message(self, *args): pass

@pytest.fixture
def server(monkeypatch):
    for v in ('http_proxy', 'HTTP_PROXY', 'VGGSR_MIRROR', 'VGGSR_DATA'): monkeypatch.delenv(v, raising=False)
    s = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    s.files, s.asked, s.url = {'a.bin': BODY, 'empty.bin': b''}, [], f'http://127.0.0.1:{s.server_port}'
    threading.Thread(target=s.serve_forever, daemon=True).start()
    yield s
    s.shutdown(); s.server_close()

def left(folder): return sorted(p.name for p in folder.rglob('*') if p.is_file())

@pytest.mark.parametrize('sha', [None, SHA, SHA[:8], SHA.upper()])
@pytest.mark.parametrize('way', ['good', 'plain', 'nolength'])
def test_fresh(server, tmp_path, way, sha):
    p = download(f'{server.url}/{way}/a.bin', tmp_path/'new'/'a.bin', sha)
    assert p.read_bytes() == BODY and left(tmp_path) == ['a.bin'] and server.asked == [(way, None)]

def test_whole_file_asks_nobody(server, tmp_path):
    (tmp_path/'a.bin').write_bytes(BODY)
    download(f'{server.url}/good/a.bin', tmp_path/'a.bin', SHA); download(f'{server.url}/good/a.bin', tmp_path/'a.bin')
    assert server.asked == []

def test_damaged_file_is_replaced(server, tmp_path):
    (tmp_path/'a.bin').write_bytes(BODY[:-1])
    assert download(f'{server.url}/good/a.bin', tmp_path/'a.bin', SHA).read_bytes() == BODY

@pytest.mark.parametrize('have', [1, 150_000, len(BODY)-1])
def test_resumes(server, tmp_path, have):
    (tmp_path/'a.bin.part').write_bytes(BODY[:have])
    assert download(f'{server.url}/good/a.bin', tmp_path/'a.bin', SHA).read_bytes() == BODY
    assert server.asked == [('good', f'bytes={have}-')] and left(tmp_path) == ['a.bin']

def test_whole_part_asks_nobody(server, tmp_path):
    (tmp_path/'a.bin.part').write_bytes(BODY)
    assert download(f'{server.url}/good/a.bin', tmp_path/'a.bin', SHA).read_bytes() == BODY and server.asked == []

@pytest.mark.parametrize('junk', [b'x'*len(BODY), b'x'*(len(BODY)+5)])
def test_part_as_long_as_the_file_but_wrong(server, tmp_path, junk):
    "The server answers 416: nothing is left to send. Start over."
    (tmp_path/'a.bin.part').write_bytes(junk)
    assert download(f'{server.url}/good/a.bin', tmp_path/'a.bin', SHA).read_bytes() == BODY

def test_server_without_range(server, tmp_path):
    (tmp_path/'a.bin.part').write_bytes(BODY[:1000])
    assert download(f'{server.url}/plain/a.bin', tmp_path/'a.bin', SHA).read_bytes() == BODY
    assert server.asked == [('plain', 'bytes=1000-')]

def test_server_that_sends_another_part(server, tmp_path):
    (tmp_path/'a.bin.part').write_bytes(BODY[:1000])
    assert download(f'{server.url}/other/a.bin', tmp_path/'a.bin', SHA).read_bytes() == BODY
    assert [r for _, r in server.asked] == ['bytes=1000-', None]

def test_without_hash_nothing_is_joined(server, tmp_path):
    (tmp_path/'a.bin.part').write_bytes(b'half of another file')
    assert download(f'{server.url}/good/a.bin', tmp_path/'a.bin').read_bytes() == BODY

def test_wrong_hash(server, tmp_path):
    with pytest.raises(UserError, match='it was removed'): download(f'{server.url}/good/a.bin', tmp_path/'a.bin', '0'*64)
    assert left(tmp_path) == []
    (tmp_path/'a.bin.part').write_bytes(b'x'*1000)                       # a first half of something else
    with pytest.raises(UserError, match='it was removed'): download(f'{server.url}/good/a.bin', tmp_path/'a.bin', SHA)
    assert download(f'{server.url}/good/a.bin', tmp_path/'a.bin', SHA).read_bytes() == BODY

def test_wrong_hash_keeps_the_old_file(server, tmp_path):
    (tmp_path/'a.bin').write_bytes(b'old')
    with pytest.raises(UserError): download(f'{server.url}/good/a.bin', tmp_path/'a.bin', '0'*64)
    assert (tmp_path/'a.bin').read_bytes() == b'old'

@pytest.mark.parametrize('way', ['cut', 'reset'])
def test_truncated_transfer(server, tmp_path, way):
    with pytest.raises(UserError, match='broke off 2 times .*run the same again'): download(f'{server.url}/{way}/a.bin', tmp_path/'a.bin', SHA, tries=2)
    assert left(tmp_path) == ['a.bin.part'] and BODY.startswith((tmp_path/'a.bin.part').read_bytes())
    first, second = [int((r or 'bytes=0-')[6:-1]) for _, r in server.asked]
    assert first == 0 < second                                           # the second try went on where the first ended
    assert download(f'{server.url}/good/a.bin', tmp_path/'a.bin', SHA).read_bytes() == BODY

def test_silent_server(server, tmp_path):
    server.files['long.bin'] = lambda: time.sleep(1.5) or BODY
    with pytest.raises(UserError, match='cannot reach .*timed out'): download(f'{server.url}/good/long.bin', tmp_path/'a', SHA, timeout=.3)

def test_busy_server_is_asked_again(server, tmp_path):
    assert download(f'{server.url}/busy/a.bin', tmp_path/'a.bin', SHA).read_bytes() == BODY and len(server.asked) == 2

def test_not_there(server, tmp_path):
    with pytest.raises(UserError, match='answers 404'): download(f'{server.url}/good/b.bin', tmp_path/'b.bin', SHA)
    assert left(tmp_path) == [] and len(server.asked) == 1

def test_refused(tmp_path):
    with pytest.raises(UserError, match='cannot reach 127.0.0.1:9 .*check the connection'): download('http://127.0.0.1:9/a', tmp_path/'a', SHA)
    assert left(tmp_path) == []

def test_no_place_to_write(server, tmp_path):
    (tmp_path/'file').write_text('x')
    with pytest.raises(UserError, match='cannot write'): download(f'{server.url}/good/a.bin', tmp_path/'file'/'a.bin', SHA)
    (tmp_path/'folder').mkdir()
    with pytest.raises(UserError, match='cannot write'): download(f'{server.url}/good/a.bin', tmp_path/'folder', SHA)

def test_mirror_replaces_scheme_and_host(server, tmp_path, monkeypatch):
    monkeypatch.setenv('VGGSR_MIRROR', server.url+'/')
    assert download('https://example.invalid/good/a.bin', tmp_path/'a.bin', SHA).read_bytes() == BODY
    monkeypatch.setenv('VGGSR_MIRROR', 'no address')
    with pytest.raises(UserError, match='VGGSR_MIRROR'): download('https://example.invalid/good/a.bin', tmp_path/'b.bin', SHA)

def command(*args, **env):
    code = "import sys; sys.argv[0] = 'vggsr_download'; from vggsr_nb.data import vggsr_download; vggsr_download()"
    return subprocess.Popen([sys.executable, '-c', code, *map(str, args)], cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env={**os.environ, 'OMP_NUM_THREADS': '1', **{k: str(v) for k, v in env.items()}})

def test_killed_and_resumed(server, tmp_path):
    "A process that dies half way leaves a .part from which the next one goes on."
    url, dest = f'{server.url}/slow/a.bin', tmp_path/'a.bin'
    p = subprocess.Popen([sys.executable, '-c', f'from vggsr_nb.data import download; download({url!r}, {str(dest)!r}, {SHA!r})'], cwd=ROOT, stderr=subprocess.DEVNULL)
    part = tmp_path/'a.bin.part'
    for _ in range(600):
        if p.poll() is not None or server.asked and part.exists(): break
        time.sleep(.05)
    time.sleep(.5)
    p.send_signal(signal.SIGKILL); p.wait()
    assert part.exists() and not dest.exists()
    assert download(f'{server.url}/good/a.bin', dest, SHA).read_bytes() == BODY and left(tmp_path) == ['a.bin']

def test_command_offline(tmp_path):
    p = command('Set5', '--root', tmp_path, VGGSR_MIRROR='http://127.0.0.1:9')
    out, err = p.communicate(timeout=120)
    assert p.returncode == 2 and 'vggsr_download: cannot reach 127.0.0.1:9' in err and 'Traceback' not in err and left(tmp_path) == []

def test_command_mistakes(tmp_path):
    for args, words in (((), 'required: names'), (('Set6',), "nothing called 'Set6'"), (('--help',), 'Benchmark sets: Set5 (1 MB)')):
        p = command(*args, COLUMNS=300)
        out, err = p.communicate(timeout=120)
        assert words in out+err and 'Traceback' not in err and (p.returncode == 0) == (args == ('--help',))

def test_weights_of_another_content_are_refused(server, tmp_path, monkeypatch):
    monkeypatch.setenv('VGGSR_MIRROR', server.url+'/good'); monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    server.files['models/vgg19-dcbb9e9d.pth'] = BODY
    with pytest.raises(UserError, match='vgg19-dcbb9e9d.pth sent a file with SHA-256'): vggsr_download('vgg19')
    assert left(tmp_path) == []

def serve_published(server, name):
    "Put the real files where the published addresses say."
    d = _published()[name]
    for n, f in d['files'].items():
        for k in ('HR', 'LR')[:1 if name == 'BSDS400' else 2]:
            p = SHARED/name/(f'{n.split("/")[-1]}.jpg' if name == 'BSDS400' else f'{dict(HR="HR", LR="LR_bicubic_x4")[k]}/{n}.png')
            server.files[d['url'].format(name=n, kind=k).split('/', 3)[3]] = p.read_bytes()

@needs_data
@pytest.mark.parametrize('name, n', [('Set5', 10), ('Set14', 28), ('BSDS400', 399)])
def test_published_sets(server, tmp_path, monkeypatch, capsys, name, n):
    if not (SHARED/name).is_dir(): pytest.skip(f'{name} not found')
    monkeypatch.setenv('VGGSR_MIRROR', server.url+'/good'); monkeypatch.setenv('VGGSR_DATA', str(tmp_path))
    serve_published(server, name)
    vggsr_download(name)
    assert len(left(tmp_path)) == n and f'{name}: {tmp_path/name}, verified' in capsys.readouterr().out
    if name != 'BSDS400': assert len(benchmark(name, verify=True)) == n//2
    server.asked.clear(); fetch(name)
    assert server.asked == []                                            # all there, nobody is asked
    lost = next(p for p in sorted(tmp_path.rglob('*')) if p.is_file()); lost.unlink()
    fetch(name)
    assert lost.is_file() and len(server.asked) == 1
