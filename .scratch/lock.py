import json,re
p='package-lock.json'; d=json.load(open(p))
pk=d['packages']; added=0
for name,entry in list(pk.items()):
    for dep,ver in (entry.get('optionalDependencies') or {}).items():
        key='node_modules/'+dep
        nested=name+'/node_modules/'+dep
        if key in pk or nested in pk: continue
        m=re.search(r'(linux|darwin|win32|android|freebsd|openharmony)-(arm64|x64|ia32|arm|ppc64|riscv64|s390x|loong64)(?:-(\w+))?$',dep)
        if not m: print('skip',dep); continue
        e={'version':ver,'cpu':[m.group(2)],'dev':True}
        if m.group(1)=='linux': e['libc']=['musl' if (m.group(3) or '').startswith('musl') else 'glibc']
        e.update({'license':'MIT','optional':True,'os':[m.group(1)]})
        pk[key]=e; added+=1
root=pk.pop('')
d['packages']={'':root,**dict(sorted(pk.items()))}
open(p,'w').write(json.dumps(d,indent=2,ensure_ascii=False)+'\n')
print('added',added)
