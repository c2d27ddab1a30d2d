"""Resolves conflicts of package.json and jest.config.js: keeps both sides."""
import re,sys,json
def both(m):
    a,b=m.group(1),m.group(2)
    seen=a.splitlines(); out=list(seen)
    for l in b.splitlines():
        if l not in seen: out.append(l)
    return "\n".join(out)+"\n"
p='jest.config.js'; s=open(p).read()
s=re.sub(r"<<<<<<< [^\n]*\n(.*?)=======\n(.*?)>>>>>>> [^\n]*\n",both,s,flags=re.S); open(p,'w').write(s)
def side(n):
    import subprocess
    return json.loads(subprocess.check_output(['git','show',f':{n}:package.json']))
base,ours,theirs=side(1),side(2),side(3)
def merge(b,o,t):
    if isinstance(o,dict) and isinstance(t,dict):
        out=dict(o)
        for k in t:
            if k not in o:
                if k not in (b or {}): out[k]=t[k]
            else: out[k]=merge((b or {}).get(k),o[k],t[k])
        for k in list(out):
            if k in (b or {}) and k not in t: out.pop(k)
        return out
    return t if o==b else o
m=merge(base,ours,theirs)
for k in ('devDependencies','peerDependencies','peerDependenciesMeta'): m[k]=dict(sorted(m[k].items()))
ex=m['exports']; head={'.':ex.pop('.')}; tail={k:ex.pop(k) for k in list(ex) if k.endswith('.json')}
m['exports']={**head,**dict(sorted(ex.items())),**tail}
open('package.json','w').write(json.dumps(m,indent=2,ensure_ascii=False)+'\n')
